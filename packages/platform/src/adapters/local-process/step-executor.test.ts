import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StepSubmission } from '@plimsoll/sdk/seams'
import { afterEach, expect, test } from 'vitest'
import { STEP_EXECUTOR_CONTRACT, type StepExecutorSubject } from '../../../../sdk/src/seams/step-executor.contract.ts'
import { realClock } from '../../kernel/clock.ts'
import { newId } from '../../kernel/ids.ts'
import { processesOf, readProcess } from './process-table.ts'
import type { SpawnReply, SpawnRequest } from './spawn-host.ts'
import { openLocalProcessExecutor } from './step-executor.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function openSubject(
  options: { logBytesMax?: number; processesMax?: number } = {},
): Promise<StepExecutorSubject> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-executor-'))
  const open = () => {
    const executor = openLocalProcessExecutor(options)
    closing.push(() => executor.close())
    return executor
  }
  closing.push(() => rm(directory, { recursive: true, force: true }))
  return { executor: open(), reopen: async () => open(), directory, newAttempt: () => newId('test') }
}

for (const contractCase of STEP_EXECUTOR_CONTRACT) test(contractCase.name, () => contractCase.run(() => openSubject()))

function sleeping(subject: StepExecutorSubject, more: Partial<StepSubmission> = {}): StepSubmission {
  const attempt = subject.newAttempt()
  return {
    attempt,
    argv: ['/bin/sleep', '1000'],
    environment: {},
    cwd: '/',
    workDir: join(subject.directory, attempt),
    timeoutMs: 60_000,
    ...more,
  }
}

test('wait() reports the lost attempt of an earlier boot without looking at its pid', async () => {
  const subject = await openSubject()
  const { handle } = await subject.executor.submit(sleeping(subject))
  const earlier = JSON.stringify({ ...(JSON.parse(handle) as object), boot: 'another boot' })
  expect((await (await subject.reopen()).wait(earlier)).state).toBe('lost')
  await subject.executor.cancel(handle, 0)
})

test('a pid that another process has now is neither waited for nor signalled', async () => {
  const subject = await openSubject()
  const other = spawn('/bin/sleep', ['1000'], { detached: true, stdio: 'ignore' })
  closing.push(async () => {
    other.kill('SIGKILL')
  })
  const submitted = sleeping(subject)
  const { handle } = await subject.executor.submit(submitted)
  await subject.executor.cancel(handle, 0)
  const reused = JSON.stringify({
    ...(JSON.parse(handle) as object),
    workDir: join(subject.directory, 'none'),
    pid: other.pid,
    startTicks: '1',
  })
  const next = await subject.reopen()
  await next.cancel(reused, 0)
  expect(await next.wait(reused)).toMatchObject({ state: 'exited', signal: 'SIGKILL' })
  expect(readProcess(other.pid!)?.isZombie).toBe(false)
})

test('find() recovers an attempt whose handle was not written, from what its wrapper left', async () => {
  const subject = await openSubject()
  const submitted = sleeping(subject)
  const { handle } = await subject.executor.submit(submitted)
  while (!(await readFile(join(submitted.workDir, 'pid'), 'utf8').catch(() => '')).endsWith('ok\n'))
    await realClock.sleep(5)
  await writeFile(join(submitted.workDir, 'handle.json'), handle.slice(0, 20))
  const next = await subject.reopen()
  expect(await next.find(submitted)).toEqual({ handle })
  await next.cancel(handle, 0)
})

test('find() ends what is left of an attempt that it cannot recover', async () => {
  const subject = await openSubject()
  const submitted = sleeping(subject)
  await subject.executor.submit(submitted)
  await rm(submitted.workDir, { recursive: true, maxRetries: 5 }) // its log may just be made
  expect(await (await subject.reopen()).find(submitted)).toBeUndefined()
  while (processesOf(new Set([submitted.workDir])).length > 0) await realClock.sleep(5)
})

test('an attempt that uses more memory than its limit is ended by it', async () => {
  const subject = await openSubject()
  const hungry = sleeping(subject, {
    argv: [process.execPath, '-e', 'const a = []; setInterval(() => a.push(Buffer.alloc(8 << 20, 1)), 20)'],
    memoryBytes: 128 << 20,
  })
  const { handle } = await subject.executor.submit(hungry)
  const exit = await subject.executor.wait(handle)
  expect(exit.endedBy).toBe('memory_limit')
  expect(exit.usage!.maxResidentBytes).toBeGreaterThan(128 << 20)
})

test('an attempt that fills the disk with its log is ended', async () => {
  const subject = await openSubject({ logBytesMax: 1 << 20 })
  const { handle } = await subject.executor.submit(sleeping(subject, { argv: ['/usr/bin/yes'] }))
  expect((await subject.executor.wait(handle)).endedBy).toBe('log_limit')
})

test('a fork bomb is ended with all that it has started', async () => {
  const subject = await openSubject({ processesMax: 40 })
  // Two processes a round; bounded, should nobody end it.
  const bomb = 'i=0; while [ $i -lt 400 ]; do (sleep 20; sleep 20) & i=$((i+1)); sleep 0.01; done; wait'
  const submitted = sleeping(subject, { argv: ['/bin/sh', '-c', bomb] })
  const { handle } = await subject.executor.submit(submitted)
  expect((await subject.executor.wait(handle)).endedBy).toBe('process_limit')
  while (processesOf(new Set([submitted.workDir])).length > 0) await realClock.sleep(20)
})

test('usage counts the processor time of short programs', async () => {
  const subject = await openSubject()
  const busy = sleeping(subject, { argv: ['/bin/sh', '-c', 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'] })
  const { handle } = await subject.executor.submit(busy)
  expect((await subject.executor.wait(handle)).usage!.cpuMs).toBeGreaterThan(10)
})

test('what a program leaves behind outside its group ends soon after it', async () => {
  const subject = await openSubject()
  const leaving = sleeping(subject, { argv: ['/bin/sh', '-c', '/usr/bin/setsid /bin/sleep 1000 & exit 0'] })
  const { handle } = await subject.executor.submit(leaving)
  expect((await subject.executor.wait(handle)).exitCode).toBe(0)
  while (processesOf(new Set([leaving.workDir])).length > 0) await realClock.sleep(20)
})

test('an attempt of another installation with the same number is left alone', async () => {
  const [ours, theirs] = [await openSubject(), await openSubject()]
  const submitted = sleeping(theirs, { attempt: '1', workDir: join(theirs.directory, '1') })
  const { handle } = await theirs.executor.submit(submitted)
  expect(
    await ours.executor.find({ attempt: '1', workDir: join(ours.directory, '1'), timeoutMs: 60_000 }),
  ).toBeUndefined()
  expect(processesOf(new Set([submitted.workDir]))).not.toEqual([])
  await theirs.executor.cancel(handle, 0)
})

test('the end of an attempt is seen also when the helper that started it is killed', async () => {
  const subject = await openSubject()
  const submitted = sleeping(subject, { argv: ['/bin/sh', '-c', '/bin/sleep 0.6; exit 9'] })
  const { handle } = await subject.executor.submit(submitted)
  const leader = readProcess((JSON.parse(handle) as { pid: number }).pid)!
  process.kill(leader.parent, 'SIGKILL')
  expect((await subject.executor.wait(handle)).exitCode).toBe(9)
  const next = await subject.executor.submit(sleeping(subject, { argv: ['/bin/true'] }))
  expect((await subject.executor.wait(next.handle)).exitCode).toBe(0)
})

test('submit() says why a process does not start, also where the helper that starts it ends', async () => {
  const { executor, ...subject } = await openSubject()
  const absent = sleeping({ executor, ...subject }, { cwd: join(subject.directory, 'absent') })
  await expect(executor.submit(absent)).rejects.toMatchObject({
    code: 'executor.spawn_failed',
    message: `Cannot start the step: ${join(subject.directory, 'absent')} is not there`,
  })
  const { handle } = await executor.submit(sleeping({ executor, ...subject }))
  const helper = readProcess((JSON.parse(handle) as { pid: number }).pid)!.parent
  process.kill(helper, 'SIGSTOP')
  const waiting = expect(executor.submit(sleeping({ executor, ...subject }))).rejects.toMatchObject({
    code: 'executor.host_gone',
  })
  process.kill(helper, 'SIGKILL')
  await waiting
  await executor.cancel(handle, 0)
})

test('submit() refuses for good what no system takes, and the helper holds no log of it open', async () => {
  const subject = await openSubject()
  const { handle } = await subject.executor.submit(sleeping(subject))
  const helper = readProcess((JSON.parse(handle) as { pid: number }).pid)!.parent
  const large = { LARGE: 'x'.repeat(4 << 20) }
  for (const more of [{ environment: large }, { argv: ['/bin/echo', large.LARGE] }])
    await expect(subject.executor.submit(sleeping(subject, more))).rejects.toMatchObject({
      kind: 'invalid',
      code: 'executor.too_large',
    })
  const links = readdirSync(`/proc/${helper}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${helper}/fd/${fd}`)]
    } catch {
      return [] // closed in between
    }
  })
  expect(links.filter((path) => path.startsWith(subject.directory))).toEqual([])
  await subject.executor.cancel(handle, 0)
})

test('submit() after close() is refused', async () => {
  const subject = await openSubject()
  await subject.executor.close()
  await expect(subject.executor.submit(sleeping(subject))).rejects.toMatchObject({ code: 'executor.closed' })
})

test('the helper starts nothing for a control plane that is gone', async () => {
  const subject = await openSubject()
  const helper = fork(new URL('./spawn-host.ts', import.meta.url), { stdio: 'ignore' })
  closing.push(async () => {
    helper.kill('SIGKILL')
  })
  const [late, wanted] = [sleeping(subject), sleeping(subject)]
  helper.send({ id: 1, parent: process.pid + 1, submission: late } satisfies SpawnRequest)
  helper.send({ id: 2, parent: process.pid, submission: wanted } satisfies SpawnRequest)
  const [reply] = (await once(helper, 'message')) as [SpawnReply]
  expect(reply).toMatchObject({ id: 2, kind: 'started' })
  expect(existsSync(late.workDir)).toBe(false)
  if (reply.kind === 'started') process.kill(-reply.handle.pid, 'SIGKILL')
})
