import { Button, Skeleton } from '@mantine/core'
import { ClientError } from '@plimsoll/sdk/client'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { isOfServer } from '../api/trouble.ts'
import { plainText } from '../format/amount.ts'
import { Command } from './text.tsx'

const TITLES: Record<string, string> = {
  'client.unreachable': 'The server does not answer',
  'client.timeout': 'The server does not answer',
  'client.outcome_unknown': 'The answer was lost',
}
/** What to do, where the words of the client or the server are meant for a terminal. */
const ADVICE: Record<string, string> = {
  'client.unreachable': 'Is it running? Start it with plimsoll up on the machine where its data is.',
  'client.timeout': 'It may be busy, or the way to it is cut.',
  'client.bad_answer': 'Reload the page: the server may have changed its version since you opened it.',
}

function titleOf(error: Error): string {
  if (!(error instanceof ClientError)) return 'This did not work'
  return TITLES[error.code] ?? (error.status === 404 ? 'There is no such thing' : 'This did not work')
}

/** A problem as the server told it: what happened, its code, and what to do. */
export function Problem({
  error,
  retry,
  children,
}: {
  error: Error
  retry?: (() => void) | undefined
  children?: ReactNode
}) {
  const known = error instanceof ClientError ? error : undefined
  const advice = known && (ADVICE[known.code] ?? known.action)
  return (
    <section className="surface problem stack" role="alert">
      <h2>{titleOf(error)}</h2>
      <p className="wrap">{plainText(error.message)}</p>
      {known?.faults.map((fault) => (
        <p className="soft wrap" key={fault.pointer}>
          <code>{plainText(fault.pointer)}</code> {plainText(fault.detail)}
        </p>
      ))}
      {advice !== undefined && <p className="wrap">{plainText(advice)}</p>}
      {children}
      {known !== undefined && (
        <p className="soft mono wrap">
          {plainText(known.code)}
          {known.requestId === undefined ? '' : ` · ${plainText(known.requestId)}`}
        </p>
      )}
      {retry !== undefined && (
        <div>
          <Button variant="default" onClick={retry}>
            Try again
          </Button>
        </div>
      )}
    </section>
  )
}

export function Empty({ title, text, command }: { title: string; text: string; command?: string }) {
  return (
    <section className="surface stack">
      <h2>{title}</h2>
      <p className="soft">{text}</p>
      {command !== undefined && <Command text={command} />}
    </section>
  )
}

export function Loading({ rows = 3 }: { rows?: number }) {
  return (
    <div className="stack" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: placeholders have no identity
        <Skeleton key={row} height={72} radius="md" />
      ))}
    </div>
  )
}

/**
 * What a query has: its data, its problem, or a placeholder. Data that could not be renewed stays, with the problem above
 * it; a problem of the server as a whole is told above the room.
 */
export function Answer<T>({
  query,
  rows = 3,
  children,
}: {
  query: UseQueryResult<T>
  rows?: number
  children: (data: T) => ReactNode
}) {
  const { data, error } = query
  const own = error !== null && !isOfServer(error) && <Problem error={error} retry={() => void query.refetch()} />
  if (data !== undefined)
    return (
      <>
        {own}
        {children(data)}
      </>
    )
  if (own) return own
  return query.errorUpdateCount > 0 ? <p className="soft">Not loaded yet.</p> : <Loading rows={rows} />
}
