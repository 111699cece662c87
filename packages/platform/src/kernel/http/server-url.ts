/** Where a server that is bound to this address can be asked from here: a wildcard is no name that it answers to. */
export function formatServerUrl(host: string, port: number): string {
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
  return `http://${shown}:${port}`
}
