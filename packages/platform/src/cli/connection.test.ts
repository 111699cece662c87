import { expect, test } from 'vitest'
import { flagsOf } from './connection.ts'

test('flagsOf() repeats what a printed command needs to find the same server, as a shell takes it', () => {
  expect(flagsOf({})).toBe('')
  expect(flagsOf({ dataDir: '/tmp/a b', project: 'two', tokenFile: 'ada.token' })).toBe(
    " --data-dir '/tmp/a b' --project two",
  )
  expect(flagsOf({ server: "http://h:1/it's" })).toBe(" --server 'http://h:1/it'\\''s'")
})
