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
/** A code of the client's own, where an answer had none. */
const FOREIGN = /^http\.\d+$/
const FOREIGN_ADVICE =
  'This answer is not from Plimsoll: look at what stands between this page and it, such as a proxy.'

function adviceOf({ code, action }: ClientError): string | undefined {
  return ADVICE[code] ?? action ?? (FOREIGN.test(code) ? FOREIGN_ADVICE : undefined)
}

function titleOf(error: Error): string {
  if (!(error instanceof ClientError)) return 'This did not work'
  const isMissing = error.status === 404 && !FOREIGN.test(error.code)
  return TITLES[error.code] ?? (isMissing ? 'There is no such thing' : 'This did not work')
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
  const advice = known && adviceOf(known)
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
 * What a query has: its data, its problem, or a placeholder, these two under a `title` that names what is asked for. Data
 * that could not be renewed stays, with the problem above it; a problem of the server as a whole is told above the room.
 */
export function Answer<T>({
  query,
  title,
  rows = 3,
  children,
}: {
  query: UseQueryResult<T>
  title?: string
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
  const wait = query.errorUpdateCount > 0 ? <p className="soft">Not loaded yet.</p> : <Loading rows={rows} />
  return (
    <>
      {title !== undefined && <h1 className="wrap">{plainText(title)}</h1>}
      {own || wait}
    </>
  )
}
