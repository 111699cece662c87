import type { PGlite } from '@electric-sql/pglite'
import type { Statement, StatementResult } from '../../kernel/db/backend.ts'
import { closeMessages, prepareMessages, runMessages, SYNC, simpleMessage } from './wire-message.ts'

type Message = Awaited<ReturnType<PGlite['execProtocolStream']>>[number]

/** The fields of backend messages that are read here. */
interface Described extends Message {
  readonly dataTypeIDs?: readonly number[]
  readonly fields?: readonly ({ readonly name: string; readonly dataTypeID: number } | string | null)[]
  readonly text?: string
  /** Of `readyForQuery`: `I` outside of a transaction. */
  readonly status?: string
}

interface Prepared {
  readonly name: string
  readonly parameters: readonly number[]
  readonly columns: readonly { readonly name: string; readonly dataTypeID: number }[]
}

export interface Statements {
  run(statement: Statement): Promise<StatementResult>
  /** Queries and writes, in one call and as one transaction, outside of any other. */
  transact(statements: readonly Statement[]): Promise<StatementResult[]>
}

const KEPT_MAX = 256
/** Longer texts are bulk writes, which differ each time. */
const KEPT_CHARS_MAX = 8_192
const PLAIN = /^\s*(?:select|insert|update|delete|with)\b/i
const BARE = /^(?:begin|commit|rollback)$/i
/** They change no schema: what they bear upon, the database plans anew by itself. */
const HARMLESS = /^\s*(?:set|vacuum|analyze|checkpoint)\b/i
const NOTHING: StatementResult = { rows: [], affected: undefined }
const COUNTED = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

interface Run {
  readonly prepared: Prepared
  readonly values: readonly unknown[]
}

function toText(lite: PGlite, value: unknown, type: number | undefined): string | null {
  if (value === null || value === undefined) return null
  const serialize = lite.serializers[type ?? 0]
  return serialize ? serialize(value) : String(value)
}

function toRow(lite: PGlite, { columns }: Prepared, cells: NonNullable<Described['fields']>): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  for (const [index, { name, dataTypeID }] of columns.entries()) {
    const text = cells[index] as string | null // a row's cells are texts
    const parse = lite.parsers[dataTypeID]
    row[name] = text === null || !parse ? text : parse(text, dataTypeID)
  }
  return row
}

/** What runs have answered, each up to its `commandComplete`. */
function toResults(lite: PGlite, runs: readonly Run[], messages: readonly Described[]): StatementResult[] {
  const results: StatementResult[] = []
  let rows: Record<string, unknown>[] = []
  for (const { name, fields, text } of messages) {
    if (name === 'dataRow') rows.push(toRow(lite, runs[results.length]!.prepared, fields ?? []))
    if (name !== 'commandComplete') continue
    const [tag, ...counts] = text?.split(' ') ?? []
    results.push({ rows, affected: COUNTED.has(tag ?? '') ? BigInt(counts.at(-1) ?? 0) : undefined })
    rows = []
  }
  return results
}

/**
 * Statements of the one session, parsed and planned once: for small statements that is three quarters of their cost. All
 * messages of a run go in one call. A change of the schema forgets them all, and none is kept until its transaction ends.
 */
export function openStatements(lite: PGlite): Statements {
  const kept = new Map<string, Prepared>()
  /** Names that nothing asks for any more; closed after the call at work, which may use them yet. */
  const stale: string[] = []
  let serial = 0
  let isChanging = false
  const send = async (bytes: Buffer): Promise<Described[]> => {
    const messages = (await lite.execProtocolStream(bytes, { syncToFs: false })) as Described[] // the same objects
    isChanging &&= messages.at(-1)?.status !== 'I'
    return messages
  }

  const prepare = async (name: string, sql: string): Promise<Prepared> => {
    const messages = await send(prepareMessages(name, sql))
    const parameters = messages.find((message) => message.name === 'parameterDescription')?.dataTypeIDs ?? []
    const columns = messages.find((message) => message.name === 'rowDescription')?.fields ?? []
    return { name, parameters, columns: columns as Prepared['columns'] } // of a description, not of a row
  }
  const isKept = (sql: string) => !isChanging && sql.length <= KEPT_CHARS_MAX && PLAIN.test(sql)
  const find = async (sql: string): Promise<Prepared> => {
    const known = kept.get(sql)
    if (known) {
      kept.delete(sql)
      kept.set(sql, known)
      return known
    }
    const made = await prepare(`s${serial++}`, sql)
    kept.set(sql, made)
    const [oldest] = kept
    if (kept.size > KEPT_MAX && oldest) {
      kept.delete(oldest[0])
      stale.push(oldest[1].name)
    }
    return made
  }
  /** In one call; unless a `begin` came before, they are one transaction. */
  const runAll = async (runs: readonly Run[]) => {
    const messages = runs.map(({ prepared: { name, parameters }, values }) => {
      const texts = values.map((value, index) => toText(lite, value, parameters[index]))
      return runMessages(name, texts)
    })
    try {
      return toResults(lite, runs, await send(Buffer.concat([...messages, SYNC])))
    } finally {
      for (const name of stale.splice(0)) await send(closeMessages(name))
    }
  }

  return {
    async run({ sql, values }) {
      if (BARE.test(sql)) {
        await send(simpleMessage(sql))
        return NOTHING
      }
      const prepared = isKept(sql) ? await find(sql) : await prepare('', sql)
      const [result] = await runAll([{ prepared, values }])
      if (!PLAIN.test(sql) && !HARMLESS.test(sql)) {
        isChanging = true
        await send(simpleMessage('deallocate all'))
        kept.clear()
      }
      return result ?? NOTHING
    },
    async transact(statements) {
      const runs: Run[] = []
      for (const { sql, values } of statements) {
        const prepared = isKept(sql) ? await find(sql) : await prepare(`s${serial++}`, sql)
        if (!isKept(sql)) stale.push(prepared.name)
        runs.push({ prepared, values })
      }
      return runAll(runs)
    },
  }
}
