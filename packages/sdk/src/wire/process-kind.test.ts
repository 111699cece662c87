import { expect, test } from 'vitest'
import { isProcessKind, ownParamsOf } from './process-kind.ts'

test('isProcessKind() knows the kinds that run code of the user', () => {
  expect(['command', 'python', 'typescript', 'register'].map(isProcessKind)).toEqual([true, true, true, false])
})

test('ownParamsOf() leaves out what a step that runs code says of itself, and nothing of any other', () => {
  const params = { argv: [], script: 'a.py', files: [], lock: 'l', args: [], trees: 1 }
  expect(Object.keys(ownParamsOf('python', params))).toEqual(['argv', 'trees'])
  expect(Object.keys(ownParamsOf('typescript', params))).toEqual(['argv', 'files', 'lock', 'trees'])
  expect(Object.keys(ownParamsOf('command', params))).toEqual(['script', 'files', 'lock', 'args', 'trees'])
  expect(ownParamsOf('register', params)).toEqual(params)
})
