import { expect, test } from 'vitest'
import { remedyOf } from './remedy.ts'

test.each([
  [
    'give the step a lock, then plimsoll apply && plimsoll run start train',
    'Give the step a lock, then:',
    'plimsoll apply && plimsoll run start train',
  ],
  [
    "git commit, then plimsoll apply && plimsoll run start train --param trees=9 --param 'note=a && b'",
    'Git commit, then:',
    "plimsoll apply && plimsoll run start train --param trees=9 --param 'note=a && b'",
  ],
  [
    "git commit, then plimsoll apply && plimsoll run start train --param 'note=it'\\''s'",
    'Git commit, then:',
    "plimsoll apply && plimsoll run start train --param 'note=it'\\''s'",
  ],
  ['git commit, then plimsoll apply', 'Git commit, then:', 'plimsoll apply'],
  ['plimsoll approve echo 1 --environment production', undefined, 'plimsoll approve echo 1 --environment production'],
  [
    "set owner in defineModel({ name: 'echo' }) and run plimsoll apply",
    "Set owner in defineModel({ name: 'echo' }) and run plimsoll apply",
    undefined,
  ],
  [
    'give the pipeline a register step for x, then git clone evil, then plimsoll apply && plimsoll run start train',
    'Give the pipeline a register step for x, then git clone evil, then:',
    'plimsoll apply && plimsoll run start train',
  ],
  ['look at it, then git clone evil', 'Look at it, then git clone evil', undefined],
  ['look at it, then decide', 'Look at it, then decide', undefined],
  ['', '', undefined],
])('remedyOf() of "%s" is what to read and what to run', (text, advice, command) => {
  expect(remedyOf(text)).toEqual({ advice, command })
})
