import { fork, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What is started, and how many of it at once. */
interface Order {
  readonly program: string
  readonly count: number
  readonly slots: number
}

export interface FloorSpent {
  readonly wallMs: number
  /** Of the process that starts the others; theirs is not in it. */
  readonly cpuMs: number
}

export interface SpawnFloor {
  measure(order: Order): Promise<FloorSpent>
  close(): void
}

/** A process of its own that starts programs and keeps no record: a fork costs the more the larger its parent is. */
export function openSpawnFloor(): SpawnFloor {
  const child = fork(import.meta.filename, [])
  return {
    measure: (order) =>
      new Promise((resolve, reject) => {
        const onExit = () => reject(new Error('The process that measures the floor ended'))
        child.once('exit', onExit)
        child.once('message', (spent) => {
          child.off('exit', onExit)
          resolve(spent as FloorSpent)
        })
        child.send(order)
      }),
    close: () => child.disconnect(),
  }
}

/** One process each, its output in a file. */
async function spawnAll({ program, count, slots }: Order, directory: string): Promise<FloorSpent> {
  const one = (index: number) =>
    new Promise<void>((resolve, reject) => {
      const log = openSync(join(directory, `log-${index}`), 'a')
      const child = spawn(program, { detached: true, stdio: ['ignore', log, log] })
      closeSync(log)
      child.once('error', reject)
      child.once('exit', () => resolve())
    })
  let next = 0
  const lane = async () => {
    while (next < count) await one(next++)
  }
  const [startedMs, before] = [performance.now(), process.cpuUsage()]
  await Promise.all(Array.from({ length: slots }, lane))
  const { user, system } = process.cpuUsage(before)
  return { wallMs: performance.now() - startedMs, cpuMs: (user + system) / 1_000 }
}

if (import.meta.main) {
  const root = await mkdtemp(join(tmpdir(), 'plimsoll-bench-'))
  process.on('message', async (order: Order) => {
    process.send?.(await spawnAll(order, await mkdtemp(join(root, 'round-'))))
  })
  // Not before: a file system may take minutes over what was deleted, and those are others' rounds.
  process.once('disconnect', () => void rm(root, { recursive: true, force: true }))
}
