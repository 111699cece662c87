import { shellWord } from '../kernel/shell-word.ts'
import { segment } from './argument.ts'
import { UsageError } from './exit-code.ts'

/** Of a command's arguments, the run and, where there is one, the step: `RUN STEP` or `RUN/STEP`. @throws UsageError */
export function parseStepName([first, second, ...more]: readonly string[]): { run: string; step?: string } {
  const [run = '', step, ...rest] = second === undefined ? (first ?? '').split('/') : [first, second]
  const isStep = step === undefined ? rest.length === 0 : step !== '' && !step.includes('/')
  if (run === '' || run.includes('/') || !isStep || rest.length > 0 || more.length > 0)
    throw new UsageError(`Cannot read "${[first, second, ...more].join(' ').trim()}": expected RUN STEP or RUN/STEP`)
  return { run, ...(step === undefined ? {} : { step }) }
}

/** Path of the step that a command's arguments name; `flags` are those with which a command that we print finds the same server. @throws UsageError */
export function stepPathOf(args: readonly string[], flags: string): string {
  const { run, step } = parseStepName(args)
  if (step === undefined)
    throw new UsageError(
      `Cannot look at a step of ${run}: expected RUN STEP or RUN/STEP`,
      `Its steps: plimsoll run show ${shellWord(run)}${flags}`,
    )
  return `/api/v1/runs/${segment(run, 'run')}/steps/${segment(step, 'step')}`
}
