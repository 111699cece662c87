import type { PresentedCredentials } from '@plimsoll/sdk/seams'

/** A login as the authoriser hands it to a provider: a bearer's token, unless `change` says otherwise, to a route that compares bodies. */
export function presented(value: string, change: Partial<PresentedCredentials> = {}): PresentedCredentials {
  const request = { method: 'POST', url: '/approve', host: 'localhost:80', confirmsBody: true }
  return { scheme: 'bearer', value, project: 'default', request, ...change }
}
