import type { PGlite } from '@electric-sql/pglite'
import { closeMessages, prepareMessages, runMessages, simpleMessage } from './wire-message.ts'

type Message = Awaited<ReturnType<PGlite['execProtocolStream']>>[number]

/** The fields of backend messages that are read here. */
interface Described extends Message {
  readonly dataTypeIDs?: readonly number[]
  readonly fields?: readonly ({ readonly name: string; readonly dataTypeID: number } | string | null)[]
  readonly text?: string
}

interface Statement {
  readonly name: string
  readonly parameters: readonly number[]
  readonly columns: readonly { readonly name: string; readonly dataTypeID: number }[]
  uses: number
}

export interface StatementResult {
  readonly rows: Record<string, unknown>[]
  readonly affected: bigint | undefined
}

export interface Statements {
  /** With `isFirst`, opens a transaction before. */
  run(sql: string, values: readonly unknown[], isFirst?: boolean): Promise<StatementResult>
}

const KEPT_MAX = 256
/** Longer texts are bulk writes, which differ each time. */
const KEPT_CHARS_MAX = 8_192
/** Tables grow under a plan: one is made anew after so many uses. */
const USES_MAX = 1_000
const PLAIN = /^\s*(?:select|insert|update|delete|with)\b/i
const BARE = /^(?:begin|commit|rollback)$/i
const COUNTED = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/**
 * Statements of the one session, parsed and planned once: for small statements that is three quarters of their cost. All
 * messages of a run go in one call. A change of the schema forgets them all, and none is kept until its transaction ends.
 */
export function openStatements(lite: PGlite): Statements {
  const kept = new Map<string, Statement>()
  let serial = 0
  let isChanging = false
  const send = (bytes: Buffer) => lite.execProtocolStream(bytes, { syncToFs: false }) as Promise<Described[]> // the same objects

  const prepare = async (name: string, sql: string): Promise<Statement> => {
    const messages = await send(prepareMessages(name, sql))
    const parameters = messages.find((message) => message.name === 'parameterDescription')?.dataTypeIDs ?? []
    const columns = messages.find((message) => message.name === 'rowDescription')?.fields ?? []
    return { name, parameters, columns: columns as Statement['columns'], uses: 0 } // of a description, not of a row
  }
  const forget = async (sql: string, { name }: Statement) => {
    kept.delete(sql)
    await send(closeMessages(name))
  }
  const find = async (sql: string): Promise<Statement> => {
    if (isChanging || sql.length > KEPT_CHARS_MAX || !PLAIN.test(sql)) return prepare('', sql)
    const known = kept.get(sql)
    if (known && known.uses < USES_MAX) {
      known.uses++
      kept.delete(sql)
      kept.set(sql, known)
      return known
    }
    if (known) await forget(sql, known)
    const made = await prepare(`s${serial++}`, sql)
    kept.set(sql, made)
    const [oldest] = kept
    if (kept.size > KEPT_MAX && oldest) await forget(...oldest)
    return made
  }
  const toText = (value: unknown, type: number | undefined): string | null => {
    if (value === null || value === undefined) return null
    const serialize = lite.serializers[type ?? 0]
    return serialize ? serialize(value) : String(value)
  }
  const toRow = (statement: Statement, cells: NonNullable<Described['fields']>): Record<string, unknown> => {
    const row: Record<string, unknown> = {}
    for (const [index, { name, dataTypeID }] of statement.columns.entries()) {
      const text = cells[index] as string | null // a row's cells are texts
      const parse = lite.parsers[dataTypeID]
      row[name] = text === null || !parse ? text : parse(text, dataTypeID)
    }
    return row
  }

  return {
    async run(sql, values, isFirst = false) {
      if (isFirst) await send(simpleMessage('begin'))
      if (BARE.test(sql)) {
        await send(simpleMessage(sql))
        isChanging = false
        return { rows: [], affected: undefined }
      }
      const statement = await find(sql)
      const texts = values.map((value, index) => toText(value, statement.parameters[index]))
      const messages = await send(runMessages(statement.name, texts))
      if (!PLAIN.test(sql)) {
        isChanging = true
        if (kept.size > 0) await send(simpleMessage('deallocate all'))
        kept.clear()
      }
      const rows = messages.flatMap((message) =>
        message.name === 'dataRow' ? [toRow(statement, message.fields ?? [])] : [],
      )
      const [tag, ...counts] = messages.find((message) => message.name === 'commandComplete')?.text?.split(' ') ?? []
      return { rows, affected: COUNTED.has(tag ?? '') ? BigInt(counts.at(-1) ?? 0) : undefined }
    },
  }
}
