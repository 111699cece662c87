import { Button, Skeleton, TextInput } from '@mantine/core'
import { ClientError } from '@plimsoll/sdk/client'
import type { UseQueryResult } from '@tanstack/react-query'
import type { FormEvent, ReactNode } from 'react'
import { storeToken } from '../api/session.ts'
import { plainText } from '../format/amount.ts'
import { Command } from './text.tsx'

function askedToken(event: FormEvent<HTMLFormElement>): void {
  event.preventDefault()
  const form = new FormData(event.currentTarget)
  const token = form.get('token')
  if (typeof token !== 'string' || token.trim() === '') return
  storeToken(token.trim())
  location.reload()
}

/** A problem as the server told it: what happened, its code, and what to do. */
export function Problem({ error, retry }: { error: Error; retry?: (() => void) | undefined }) {
  const known = error instanceof ClientError ? error : undefined
  return (
    <section className="surface problem stack" role="alert">
      <h2>{known?.status === 404 ? 'There is no such thing' : 'This did not work'}</h2>
      <p className="wrap">{plainText(error.message)}</p>
      {known?.faults.map((fault) => (
        <p className="soft wrap" key={fault.pointer}>
          <code>{plainText(fault.pointer)}</code> {plainText(fault.detail)}
        </p>
      ))}
      {known?.action !== undefined && <p className="wrap">{plainText(known.action)}</p>}
      {known !== undefined && (
        <p className="soft mono wrap">
          {plainText(known.code)}
          {known.requestId === undefined ? '' : ` · ${plainText(known.requestId)}`}
        </p>
      )}
      {known?.status === 401 && (
        <form onSubmit={askedToken} className="row">
          <TextInput
            name="token"
            type="password"
            label="Token"
            placeholder="Paste a token of this server"
            autoComplete="off"
          />
          <Button type="submit">Use it in this tab</Button>
        </form>
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

/** What a query has: its data, its problem, or a placeholder. Data that could not be renewed stays, with the problem above it. */
export function Answer<T>({
  query,
  rows,
  children,
}: {
  query: UseQueryResult<T>
  rows?: number
  children: (data: T) => ReactNode
}) {
  const retry = () => void query.refetch()
  if (query.data === undefined)
    return query.error ? (
      <Problem error={query.error} retry={retry} />
    ) : (
      <Loading {...(rows === undefined ? {} : { rows })} />
    )
  return (
    <>
      {query.error !== null && <Problem error={query.error} retry={retry} />}
      {children(query.data)}
    </>
  )
}
