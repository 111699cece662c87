import { isProcessKind, type PipelineStep } from '@plimsoll/sdk/wire'
import type { Redactor } from '../kernel/redaction.ts'
import type { SeenEnd } from './attempt-end.ts'
import { lastLines, saidFault } from './attempt-files.ts'

/** How a step of ours ends for a fault that it names. @source sysexits.h: EX_CONFIG */
const EXIT_NAMED = 78

/** Python's own word, and what to do about it: a package of the machine is none of every machine. */
function withLockHint(said: string): string {
  return said.replace(
    /^ModuleNotFoundError: .*/m,
    (line) =>
      `${line} (the step has no lock and ran on the machine's own interpreter: a lock with the package gives it one)`,
  )
}

/** Why a step failed by itself: its exit code and the end of its log. What a kind of ours says of a fault stands alone. */
export async function failureReason(
  { kind, params }: Pick<PipelineStep, 'kind' | 'params'>,
  { exitCode, message = '' }: Pick<SeenEnd, 'exitCode' | 'message'>,
  workDir: string,
  redactor: Redactor | undefined,
): Promise<string> {
  const fault = exitCode === EXIT_NAMED && !isProcessKind(kind) ? await saidFault(workDir, redactor) : undefined
  if (fault !== undefined) return fault
  const said = await lastLines(workDir, redactor)
  return `${message}${kind === 'python' && params['lock'] === undefined ? withLockHint(said) : said}`
}
