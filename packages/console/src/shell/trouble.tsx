import { Button, TextInput } from '@mantine/core'
import type { FormEvent } from 'react'
import { storeToken } from '../api/session.ts'
import type { Trouble } from '../api/trouble.ts'
import { plainText } from '../format/amount.ts'
import { formatRelative } from '../format/time.ts'
import { Problem } from '../parts/answer.tsx'
import { Command } from '../parts/text.tsx'
import { useNow } from './now.tsx'

function askedToken(event: FormEvent<HTMLFormElement>): void {
  event.preventDefault()
  const form = new FormData(event.currentTarget)
  const token = form.get('token')
  if (typeof token !== 'string' || token.trim() === '') return
  storeToken(token.trim())
  location.reload()
}

/** The server's one question before every room. */
export function LogIn({ trouble: { error } }: { trouble: Trouble }) {
  return (
    <section className="surface stack log-in" aria-labelledby="log-in">
      <h1 id="log-in">Log in</h1>
      <p className="wrap" role="alert">
        {plainText(error.message)}.
      </p>
      <form onSubmit={askedToken} className="row end">
        <TextInput className="grow" name="token" type="password" label="Token of this server" autoComplete="off" />
        <Button type="submit">Use it in this tab</Button>
      </form>
      <p className="soft">Whoever runs the server makes one for you:</p>
      <Command text="plimsoll token create NAME --role viewer" />
    </section>
  )
}

/** What is wrong with the server, in one place; what was read before stays below. */
export function Banner({ trouble: { error, oldestMs, retry } }: { trouble: Trouble }) {
  const { realMs } = useNow()
  return (
    <Problem error={error} retry={retry}>
      <p className="soft">
        {oldestMs !== undefined &&
          `What you see below was read ${formatRelative(oldestMs, Math.max(realMs, oldestMs))}. `}
        This page tries again by itself.
      </p>
    </Problem>
  )
}
