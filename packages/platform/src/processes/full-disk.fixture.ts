import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { openCommandLine, openPlatform } from '../cli/process.fixture.ts'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'

// A platform whose disk fills up while it is written to, and has room again. Runs in mounts of its own, on a disk of 160 MiB
// that ends with them; argument: an empty folder. Prints what it saw as JSON.

const BACK_MS = 90_000
const WRITES_MAX = 2_000
const TOUCH_BYTES = 4_096
const work = process.argv[2]!
const disk = join(work, 'disk')
const dataDir = join(disk, 'data')
const filler = join(disk, 'filler')

mkdirSync(disk)
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'small', disk])
await layDatabase(join(dataDir, 'database'), { isMigrated: true })
const commands = openCommandLine(work)
const platform = await openPlatform(commands, '--data-dir', dataDir)
const tokens = `${platform.api}/api/v1/tokens`
const token = readFileSync(join(dataDir, 'operator-token'), 'utf8').trim()
const run = (...args: string[]) => commands.run(...args, '--data-dir', dataDir)

/** Writes until the disk takes no byte more. */
function fill(): void {
  const file = openSync(filler, 'a')
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(disk)
      writeSync(file, Buffer.alloc(Math.max(TOUCH_BYTES, Math.min(1 << 20, bavail * bsize))))
    }
  } catch {
    closeSync(file)
  }
}

async function createToken(principal: string): Promise<{ status: number; body: string } | undefined> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  try {
    const body = JSON.stringify({ principal, role: 'viewer' })
    const answer = await fetch(tokens, { method: 'POST', headers, body })
    return { status: answer.status, body: await answer.text() }
  } catch {
    return undefined // the control plane has gone
  }
}

const before = await createToken('before')
fill()
const kept: string[] = []
let refusal = before
while (kept.length < WRITES_MAX) {
  const name = `during-${kept.length}`
  refusal = await createToken(name)
  if (refusal?.status !== before?.status) break
  kept.push(name)
}
const refused = await run('token', 'create', 'ada', '--role', 'viewer')
rmSync(filler)
const freedMs = performance.now()
while ((await createToken('after'))?.status !== before?.status && performance.now() - freedMs < BACK_MS)
  await new Promise((done) => setTimeout(done, 250))
const listed = (await run('token', 'list', '--json')).out
const lost = ['before', ...kept, 'after'].filter((name) => !listed.includes(`"${name}"`))
const { status } = await run('audit', 'verify')
const ended = await platform.close()
process.stdout.write(`${JSON.stringify({ refusal, refused, kept: kept.length, lost, verified: status, ended })}\n`)
