import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { StepExecutor, StepSubmission } from './step-executor.ts'

/** What a runner of the contract provides for one case. */
export interface StepExecutorSubject {
  readonly executor: StepExecutor
  /** An executor as the next incarnation of the control plane opens it, after the first one vanished without a word. */
  reopen(): Promise<StepExecutor>
  /** A directory of this case's own that attempts can read and write. */
  readonly directory: string
  /** An attempt id that was never used. */
  newAttempt(): string
}

/** One case: `run` opens its own subject and throws when the rule does not hold. */
export interface StepExecutorCase {
  readonly name: string
  run(open: () => Promise<StepExecutorSubject>): Promise<void>
}

const GRACE_MS = 300
const WAIT_MS_MAX = 10_000

async function submission(
  subject: StepExecutorSubject,
  script: string,
  more: Partial<StepSubmission> = {},
): Promise<StepSubmission> {
  const attempt = more.attempt ?? subject.newAttempt()
  const workDir = join(subject.directory, attempt)
  await mkdir(workDir, { recursive: true })
  return {
    attempt,
    argv: ['/bin/sh', '-c', script],
    environment: { PATH: '/usr/bin:/bin' },
    cwd: workDir,
    workDir,
    timeoutMs: 60_000,
    ...more,
  }
}

function logOf(submitted: StepSubmission): string {
  return readFileSync(join(submitted.workDir, 'log'), 'utf8')
}

async function until(condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; !condition(); waitedMs += 10) {
    assert.ok(waitedMs < WAIT_MS_MAX, 'the condition did not come about')
    await pause(10)
  }
}

function isRunning(pidFile: string): boolean {
  try {
    process.kill(Number(readFileSync(pidFile, 'utf8')), 0)
    return true
  } catch {
    return false
  }
}

const ending: StepExecutorCase[] = [
  {
    name: 'wait() tells the exit code, and output and errors are in one file in order',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(subject, 'echo out; echo err >&2; echo out again; exit 7')
      const { handle } = await subject.executor.submit(submitted)
      const exit = await subject.executor.wait(handle)
      assert.equal(exit.state, 'exited')
      assert.equal(exit.exitCode, 7)
      assert.equal(exit.endedBy, undefined)
      assert.equal(logOf(submitted), 'out\nerr\nout again\n')
    },
  },
  {
    name: 'wait() tells the end of an attempt that had ended before it was asked',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(subject, 'touch ended')
      const { handle } = await subject.executor.submit(submitted)
      await until(() => existsSync(join(submitted.workDir, 'ended')))
      await pause(100)
      assert.equal((await subject.executor.wait(handle)).exitCode, 0)
    },
  },
  {
    name: 'arguments and variables arrive as they are, and no others',
    run: async (open) => {
      const subject = await open()
      const odd = 'a b\n$(id) "\' ; * é 🚢'
      const submitted = await submission(subject, '', {
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell expands it, not we
        argv: ['/bin/sh', '-c', 'printf %s "$1"; printf %s "$ODD"; printf %s "${HOME-none}"', 'sh', odd],
        environment: { PATH: '/usr/bin:/bin', ODD: odd },
      })
      const { handle } = await subject.executor.submit(submitted)
      await subject.executor.wait(handle)
      assert.equal(logOf(submitted), `${odd}${odd}none`)
    },
  },
  {
    name: 'a program that does not exist is an end with a code, not an error of the executor',
    run: async (open) => {
      const subject = await open()
      const { handle } = await subject.executor.submit(await submission(subject, '', { argv: ['/no/such/program'] }))
      assert.equal((await subject.executor.wait(handle)).exitCode, 127)
    },
  },
  {
    name: 'a program that a signal ends exits with 128 and the signal',
    run: async (open) => {
      const subject = await open()
      const { handle } = await subject.executor.submit(await submission(subject, 'kill -KILL $$'))
      assert.equal((await subject.executor.wait(handle)).exitCode, 137)
    },
  },
  {
    name: 'an attempt that takes longer than its timeout is ended by it',
    run: async (open) => {
      const subject = await open()
      const { handle } = await subject.executor.submit(await submission(subject, 'sleep 1000', { timeoutMs: 200 }))
      assert.equal((await subject.executor.wait(handle)).endedBy, 'timeout')
    },
  },
]

const restarting: StepExecutorCase[] = [
  {
    name: 'submit() twice with one attempt starts one execution',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(subject, 'echo started; sleep 0.3')
      const first = await subject.executor.submit(submitted)
      const second = await subject.executor.submit(submitted)
      assert.deepEqual(second, first)
      const later = await (await subject.reopen()).submit(submitted)
      assert.deepEqual(later, first)
      await subject.executor.wait(first.handle)
      assert.equal(logOf(submitted), 'started\n')
    },
  },
  {
    name: 'the next incarnation waits for a running attempt, and learns its exit code',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(subject, 'sleep 0.4; echo done; exit 3')
      const { handle } = await subject.executor.submit(submitted)
      const next = await subject.reopen()
      assert.equal((await next.wait(handle)).exitCode, 3)
      assert.equal(logOf(submitted), 'done\n')
    },
  },
  {
    name: 'the next incarnation learns the end of an attempt that ended meanwhile',
    run: async (open) => {
      const subject = await open()
      const { handle } = await subject.executor.submit(await submission(subject, 'exit 5'))
      await subject.executor.wait(handle)
      assert.equal((await (await subject.reopen()).wait(handle)).exitCode, 5)
    },
  },
  {
    name: 'find() gives the handle when the reply to submit() was lost',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(subject, 'sleep 0.3; exit 4')
      await subject.executor.submit(submitted)
      const next = await subject.reopen()
      const found = await next.find(submitted)
      assert.ok(found)
      assert.equal((await next.wait(found.handle)).exitCode, 4)
    },
  },
  {
    name: 'find() knows nothing of an attempt that was never submitted',
    run: async (open) => {
      const subject = await open()
      assert.equal(await subject.executor.find(await submission(subject, 'true')), undefined)
    },
  },
]

const cancelling: StepExecutorCase[] = [
  {
    name: 'cancel() lets a program end by itself within the grace',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(
        subject,
        'trap "echo bye; exit 0" TERM; touch ready; while true; do sleep 0.05; done',
      )
      const { handle } = await subject.executor.submit(submitted)
      await until(() => existsSync(join(submitted.workDir, 'ready')))
      await subject.executor.cancel(handle, 5_000)
      assert.equal((await subject.executor.wait(handle)).endedBy, 'cancel')
      assert.match(logOf(submitted), /bye/)
    },
  },
  {
    name: 'cancel() ends a program that does not listen, with every process that it started',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(
        subject,
        'trap "" TERM; setsid sh -c "echo \\$\\$ > grandchild; exec sleep 1000" & sleep 1000 & wait',
      )
      const { handle } = await subject.executor.submit(submitted)
      const pidFile = join(submitted.workDir, 'grandchild')
      await until(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8').trim() !== '')
      await subject.executor.cancel(handle, GRACE_MS)
      assert.equal((await subject.executor.wait(handle)).endedBy, 'cancel')
      await until(() => !isRunning(pidFile))
    },
  },
  {
    name: 'the next incarnation can cancel',
    run: async (open) => {
      const subject = await open()
      const { handle } = await subject.executor.submit(await submission(subject, 'sleep 1000'))
      const next = await subject.reopen()
      await next.cancel(handle, GRACE_MS)
      assert.equal((await next.wait(handle)).endedBy, 'cancel')
    },
  },
  {
    name: 'cancel() of an attempt that has ended is free and changes nothing',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(subject, 'touch ended')
      const { handle } = await subject.executor.submit(submitted)
      await until(() => existsSync(join(submitted.workDir, 'ended')))
      await pause(100)
      await subject.executor.cancel(handle, GRACE_MS)
      const exit = await subject.executor.wait(handle)
      assert.equal(exit.exitCode, 0)
      assert.equal(exit.endedBy, undefined)
    },
  },
  {
    name: 'close() leaves running attempts alone, and may be called twice',
    run: async (open) => {
      const subject = await open()
      const submitted = await submission(subject, 'sleep 0.3; touch survived')
      const { handle } = await subject.executor.submit(submitted)
      await subject.executor.close()
      await subject.executor.close()
      assert.equal((await (await subject.reopen()).wait(handle)).exitCode, 0)
      assert.ok(existsSync(join(submitted.workDir, 'survived')))
    },
  },
]

/** The contract of every step executor whose attempts see this machine's files; a runner loops over it. */
export const STEP_EXECUTOR_CONTRACT: readonly StepExecutorCase[] = [...ending, ...restarting, ...cancelling]
