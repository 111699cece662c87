import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { SHELL_WORD, shellWord } from './shell-word.ts'

test('shellWord() leaves a plain word as it is', () => {
  for (const word of ['/data/secrets/default/a', 'flight-delay_2', 'http://127.0.0.1:8080/', '@x=%+,1'])
    expect(shellWord(word)).toBe(word)
  expect(["it's here", '', 'a b'].map(shellWord)).toEqual([`'it'\\''s here'`, "''", "'a b'"])
})

test('a shell reads each word as the text that it was', () => {
  const texts = [
    ...['', ' ', "it's here", `"'"`, "''", '$HOME', '`id`', '$(id)', '~', '~/x', '*', '?', '[a]', '{a,b}', '!!', '#x'],
    ...['a;b', 'a&b', 'a|b', '<a>', '(a)', 'a\nb', '\ttab', 'back\\slash', '\\', 'pässwörd 🚢', '-n', 'A=1'],
  ]
  const script = `printf '%s\\0' ${texts.map(shellWord).join(' ')}`
  const read = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' })
  expect(read.split('\0').slice(0, -1)).toEqual(texts)
  const isWord = new RegExp(`^${SHELL_WORD}$`)
  for (const text of texts) expect(shellWord(text)).toMatch(isWord)
  for (const text of ['a b', "'a", 'a;b', '']) expect(text).not.toMatch(isWord)
})
