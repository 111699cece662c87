import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { besideAnother, flagsOf } from './connection.ts'

test('flagsOf() repeats what a printed command needs to find the same server, as a shell takes it', () => {
  expect(flagsOf({})).toBe('')
  expect(flagsOf({ dataDir: '/tmp/a b', project: 'two', tokenFile: 'ada.token' })).toBe(
    " --data-dir '/tmp/a b' --project two",
  )
  expect(flagsOf({ server: "http://h:1/it's" })).toBe(" --server 'http://h:1/it'\\''s'")
})

test('besideAnother() warns of a new data directory below another one, and of no other', () => {
  const root = mkdtempSync(join(tmpdir(), 'plimsoll-beside-'))
  const [above, steps] = [join(root, '.plimsoll'), join(root, 'steps')]
  mkdirSync(steps)
  const inSteps = () => besideAnother(join(steps, '.plimsoll'), steps)
  expect(inSteps()).toEqual([])
  mkdirSync(above)
  expect(inSteps()).toEqual([expect.stringContaining(`start with --data-dir ${above}`)])
  expect(besideAnother(join(root, 'named'), steps)).toEqual([])
  expect(besideAnother(above, root)).toEqual([])
  mkdirSync(join(steps, '.plimsoll'))
  expect(inSteps()).toEqual([])
  rmSync(root, { recursive: true })
})
