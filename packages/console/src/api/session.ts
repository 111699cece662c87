import { type Client, openClient } from '@plimsoll/sdk/client'

const TOKEN_KEY = 'plimsoll.token'
export const PROJECT = 'default'

/** A token lives in this tab only, and only when the server asked for one. */
export function storeToken(token: string): void {
  sessionStorage.setItem(TOKEN_KEY, token)
}

/** The client of this page's own server. */
export function client(): Client {
  const token = sessionStorage.getItem(TOKEN_KEY)
  return openClient({ server: location.origin, project: PROJECT, timeoutMs: 20_000, token: token ?? undefined })
}
