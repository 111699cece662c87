import { type Client, openClient } from '@plimsoll/sdk/client'
import { projectName } from '@plimsoll/sdk/wire'
import { DEFAULT_PROJECT } from '../format/in-project.ts'

const TOKEN_KEY = 'plimsoll.token'

/** The project that the address names. Another one is another document, so that nothing of one is ever shown in the other. */
export const NAMED_PROJECT = new URLSearchParams(location.search).get('project') || undefined
export const PROJECT = NAMED_PROJECT ?? DEFAULT_PROJECT
/** What is no name cannot be asked for: the server's own choice is, which the shell does not show. */
export const IS_PROJECT_NAME = projectName.safeParse(PROJECT).success

/** A token lives in this tab only, and only when the server asked for one. */
export function storeToken(token: string): void {
  sessionStorage.setItem(TOKEN_KEY, token)
}

/** The client of this page's own server. An empty `project` is the one of the token. */
export function client(project = IS_PROJECT_NAME ? PROJECT : ''): Client {
  const token = sessionStorage.getItem(TOKEN_KEY)
  return openClient({ server: location.origin, project, timeoutMs: 20_000, token: token ?? undefined })
}
