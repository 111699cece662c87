import { expect, test } from 'vitest'
import { loadStepCommand } from './step-commands.ts'
import { openStepKinds } from './step-kinds.ts'

test.each([...openStepKinds(0).values()])('loadStepCommand() knows the command of $kind', async ({ kind, command }) => {
  expect(await loadStepCommand(kind)).toBe(command)
})
