import pg from 'pg'
import { errnoText } from '../../kernel/errno-text.ts'
import { PlimsollError } from '../../kernel/errors.ts'

const ESCAPES = '%2F, %3F, %23 and %40 for /, ?, # and @'

/** A connection that is not open yet. What the driver says of an address that is none holds its password. */
function clientOf(url: string, timeoutMs: number): pg.Client {
  const refuse = (why: string) =>
    new PlimsollError('invalid', 'config.invalid', `Cannot use database.url: ${why}`, {
      action: `Give it as postgres://USER:PASSWORD@HOST:PORT/DATABASE, with ${ESCAPES} in the password, and %40 in what follows`,
    })
  if (!/^postgres(?:ql)?:\/\//.test(url) || hasLooseEnd(url)) throw refuse('it is no address')
  let client: pg.Client
  try {
    client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs })
  } catch (error) {
    throw refuse((error as NodeJS.ErrnoException).errno === undefined ? 'it is no address' : errnoText(error)) // a file of TLS
  }
  return client
}

/**
 * Whether a part of a password would be read as a host, a database or what follows them: a / ? or # in it ends the authority
 * of an address before its @.
 */
function hasLooseEnd(url: string): boolean {
  const rest = url.slice(url.indexOf('//') + 2)
  return rest.includes('#') || /[/?]/.test(rest.slice(0, rest.lastIndexOf('@') + 1))
}

/**
 * Where it leads, without who and with what password; a database only by a plain name. Without a user what looks like a host
 * and a port may be a user and a password whose @ is missing.
 */
function placeOf({ host, port, database }: pg.Client, url: string): string {
  if (!url.includes('@')) return 'the address of database.url'
  const name = /^[\w.-]+$/.test(database ?? '') ? `/${database}` : ''
  return `${host.includes(':') ? `[${host}]` : host}:${port}${name}`
}

/** Why there is no connection: what the system or the server said. */
function cannotConnect(client: pg.Client, url: string, error: unknown): PlimsollError {
  return new PlimsollError(
    'unavailable',
    'db.unavailable',
    `Cannot connect to PostgreSQL at ${placeOf(client, url)}: ${errnoText(error)}`,
    { action: 'Check that it runs there, and what database.url says' },
    error,
  )
}

/** The same where the driver made the connection itself. */
export function connectionFault(url: string, error: unknown): PlimsollError {
  return cannotConnect(clientOf(url, 0), url, error)
}

/**
 * Asks the server for its version, within a bound for each answer.
 * @throws unavailable db.unavailable · invalid config.invalid
 */
export async function askPostgres(url: string, timeoutMs: number): Promise<{ version: string; place: string }> {
  const client = clientOf(url, timeoutMs)
  client.on('error', () => {}) // it is thrown by what waits, too
  try {
    await client.connect()
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    return { version: rows[0]!.server_version, place: placeOf(client, url) }
  } catch (error) {
    throw cannotConnect(client, url, error)
  } finally {
    void client.end().catch(() => {})
  }
}
