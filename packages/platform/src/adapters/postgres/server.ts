import pg from 'pg'
import { errnoText } from '../../kernel/errno-text.ts'
import { PlimsollError } from '../../kernel/errors.ts'

/** A connection that is not open yet. What the driver says of an address that is none holds its password. */
function clientOf(url: string, timeoutMs: number): pg.Client {
  const refuse = (why: string) =>
    new PlimsollError('invalid', 'config.invalid', `Cannot use database.url: ${why}`, {
      action: 'Give it as postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %2F for a / in the password',
    })
  if (!/^postgres(?:ql)?:\/\//.test(url)) throw refuse('it is no address')
  let client: pg.Client
  try {
    client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs })
  } catch (error) {
    throw refuse((error as NodeJS.ErrnoException).errno === undefined ? 'it is no address' : errnoText(error)) // a file of TLS
  }
  // A password with a / ends before its @.
  if (client.database?.includes('@')) throw refuse('it is no address')
  return client
}

/** Where it leads, without who and with what password; a database only by a plain name. */
function placeOf({ host, port, database }: pg.Client): string {
  const name = /^[\w.-]+$/.test(database ?? '') ? `/${database}` : ''
  return `${host.includes(':') ? `[${host}]` : host}:${port}${name}`
}

/** Why there is no connection: what the system or the server said. */
function cannotConnect(client: pg.Client, error: unknown): PlimsollError {
  return new PlimsollError(
    'unavailable',
    'db.unavailable',
    `Cannot connect to PostgreSQL at ${placeOf(client)}: ${errnoText(error)}`,
    { action: 'Check that it runs there, and what database.url says' },
    error,
  )
}

/** The same where the driver made the connection itself. */
export function connectionFault(url: string, error: unknown): PlimsollError {
  return cannotConnect(clientOf(url, 0), error)
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
    return { version: rows[0]!.server_version, place: placeOf(client) }
  } catch (error) {
    throw cannotConnect(client, error)
  } finally {
    void client.end().catch(() => {})
  }
}
