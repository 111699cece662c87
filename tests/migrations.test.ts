import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { checkMigrations } from './house/migrations.ts'

const DIRECTORY = resolve(import.meta.dirname, '../packages/platform/migrations')

test('a migration leaves the release before it working, or names what expanded before', () => {
  const names = readdirSync(DIRECTORY).filter((file) => /^\d{4}-.*\.ts$/.test(file))
  expect(names.length).toBeGreaterThan(20)
  const read = (file: string) => readFileSync(resolve(DIRECTORY, file), 'utf8')
  expect(checkMigrations(new Map(names.map((file) => [file.slice(0, -3), read(file)])))).toEqual([])
})

const check = (sql: string, comment = '', name = '0500-next') =>
  checkMigrations(
    new Map([
      ['0390-tables', 'await sql`create table run (a text not null, id text primary key, b text)`.execute(db)'],
      ['0391-tables', 'await sql`create table step (a text, run text, key text, primary key (run, key))`.execute(db)'],
      ['0400-expansion', 'await sql`alter table run add column b text`.execute(db)'],
      [name, `/** ${comment} */\nawait sql\`${sql}\`.execute(db)`],
    ]),
  )

const REFUSED = [
  ['drop table run', 'drops a table (run)'],
  ['drop table if exists run', 'drops a table (run)'],
  ['create table other (a int); drop table run', 'drops a table (run)'],
  ['alter table run drop column a', 'drops a column (run)'],
  ['ALTER TABLE only run\n    DROP a', 'drops a column (run)'],
  ['alter table run add column b text, drop column a', 'drops a column (run)'],
  ['alter table $' + '{sql.table(t)} drop column a', 'drops a column'],
  ['alter table run alter column a drop default', 'drops a default (run)'],
  ['alter table run rename to runs', 'renames'],
  ['alter table run rename column a to b', 'renames'],
  ['alter table run alter column a type integer', 'changes a type (run)'],
  ['alter table run alter a set data type varchar(10)', 'changes a type (run)'],
  ['alter table run alter column a set not null', 'refuses nulls (run)'],
  ['alter table run add column b text not null', 'has to be filled (run)'],
  ['alter table run add constraint c check (a > 0)', 'adds a constraint (run)'],
  ['alter table run add primary key (a)', 'adds a constraint (run)'],
  ['create unique index run_a on run (a)', 'refuses rows that are alike (run)'],
  ['create unique index step_a on step (run, a)', 'refuses rows that are alike (step)'],
] as const

test.each(REFUSED)('checkMigrations() finds: %s', (sql, expected) => {
  expect(check(sql).join('\n')).toContain(expected)
})

test.each(REFUSED)('checkMigrations() takes after an expansion: %s', (sql) => {
  expect(check(sql, 'Contraction: expanded by 0400-expansion, in release 0.2.0')).toEqual([])
})

test.each([
  'create table run (a text not null, unique (a))',
  'alter table run add column b text',
  "alter table run add column b text not null default 'x'",
  'alter table run drop constraint run_a_check',
  'alter table run alter column a drop not null',
  'drop index run_a',
  'create index run_a on run (a)',
  'create unique index run_a on run (a, id)',
  'create table other (a text); create unique index other_a on other (a); alter table other add check (a > 0)',
  "update run set a = 'drop column'",
])('checkMigrations() takes as an expansion: %s', (sql) => {
  expect(check(sql)).toEqual([])
})

test('checkMigrations() refuses a contraction whose expansion is not there, or comes after it', () => {
  const drop = 'alter table run drop column a'
  for (const [expansion, name] of [
    ['0401-elsewhere', '0500-next'],
    ['0400-expansion', '0300-earlier'],
  ] as const)
    expect(check(drop, `Contraction: expanded by ${expansion}, in release 0.2.0`, name)).toEqual([
      `${name}: was expanded by ${expansion}, which is no earlier migration`,
    ])
  expect(check(drop, 'Contraction: expanded long ago')).toHaveLength(1)
})

test.each(["db.schema.dropTable('run').execute()", "sql.raw('drop table run').execute(db)"])(
  'checkMigrations() refuses what it cannot read: %s',
  (code) => {
    expect(checkMigrations(new Map([['0500-next', code]])).join()).toContain('write SQL templates')
  },
)
