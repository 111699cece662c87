/** Statements after which the release before may fail: it still reads and writes the schema that it knows. */
const CONTRACTIONS: readonly [RegExp, string][] = [
  [/^drop table (?:if exists )?(\S+)/, 'drops a table'],
  [/^alter table (\S+) .*\bdrop (?!constraint\b|not null\b|default\b)/, 'drops a column'],
  [/^alter table (\S+) .*\bdrop default\b/, 'drops a default'],
  [/^alter table (\S+) .*\brename\b/, 'renames a table, a column or a constraint'],
  [/^alter table (\S+) .*\balter (?:column )?\S+ (?:set data )?type\b/, 'changes a type'],
  [/^alter table (\S+) .*\bset not null\b/, 'refuses nulls'],
  [/^alter table (\S+) .*\badd (?:column )?(?!.*\bdefault\b).*\bnot null\b/, 'adds a column that has to be filled'],
  [/^alter table (\S+) .*\badd (?:constraint|primary key|unique|foreign key|check|exclude)\b/, 'adds a constraint'],
  [/^create unique index .*\bon (\S+)/, 'refuses rows that are alike'],
]
const MARK = /\bContraction: expanded by (\d{4}-[a-z0-9-]+), in release (\d+\.\d+\.\d+)\b/

/** Before the first release there is no release before: these changed tables that nobody had. Nothing joins this list. */
const BEFORE_RELEASES = [
  '0064-route-served-once',
  '0110-route-retirement',
  '0112-dropped-generation',
  '0130-blob-part-project',
]

const PRIMARY_KEY = /^create table (?:if not exists )?(\S+) \((?:.*?, | ?)(\w+) [^,()]*\bprimary key\b(?! \()/

/** True of a unique index over more than the primary key of its table: rows that differ in the key are never alike. */
function refusesNothing(statement: string, primaryKeys: ReadonlyMap<string, string>): boolean {
  const [, table, columns] = /^create unique index \S+ on (\S+) \(([\w, ]+)\)$/.exec(statement) ?? []
  return columns?.split(', ').includes(primaryKeys.get(table!) ?? '') ?? false
}

/** The SQL of a migration, statement by statement, in lower case and on one line each. */
function statementsOf(text: string): string[] {
  return [...text.matchAll(/\bsql(?:<[^>`]*>)?`([^`]*)`/g)]
    .flatMap(([, statement]) => statement!.split(';'))
    .map((statement) =>
      statement
        .toLowerCase()
        .replace(/\s+/g, ' ')
        .replace(/\b(if exists|only) /g, '')
        .trim(),
    )
}

/**
 * Every migration that contracts the schema without saying which earlier one had expanded it. A table that the same
 * migration makes may be anything: no release knows it yet. Dropped constraints and indexes let more in, and pass.
 */
export function checkMigrations(migrations: ReadonlyMap<string, string>): string[] {
  const problems: string[] = []
  const primaryKeys = new Map(
    [...migrations.values()].flatMap(statementsOf).flatMap((one) => {
      const [, table, column] = PRIMARY_KEY.exec(one) ?? []
      return table !== undefined && column !== undefined ? [[table, column] as const] : []
    }),
  )
  for (const [name, text] of migrations) {
    if (/\bdb\.schema\b|\bsql\.raw\b/.test(text))
      problems.push(`${name}: write SQL templates, which this check can read`)
    const statements = statementsOf(text)
    const made = new Set(statements.flatMap((one) => one.match(/^create table (?:if not exists )?(\S+)/)?.[1] ?? []))
    const found = statements.flatMap((one) =>
      CONTRACTIONS.flatMap(([pattern, what]) => {
        const table = pattern.exec(one)?.[1]
        return table === undefined || made.has(table) || refusesNothing(one, primaryKeys) ? [] : [`${what} (${table})`]
      }),
    )
    const mark = MARK.exec(text)
    if (mark && !(migrations.has(mark[1]!) && mark[1]! < name))
      problems.push(`${name}: was expanded by ${mark[1]}, which is no earlier migration`)
    if (mark || BEFORE_RELEASES.includes(name)) continue
    for (const what of found) problems.push(`${name}: ${what}: expand, migrate, release, and contract after that`)
  }
  return problems
}
