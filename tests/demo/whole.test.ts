import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const MIB = 1 << 20
const PEAK_MIB_MAX = 3 * 1_024
const CHAPTERS = 7

interface Summary {
  readonly chapters: readonly { readonly title: string; readonly ok: boolean; readonly error?: string }[]
  readonly seconds: number
  readonly peakBytes: number
}

function runDemo(scratch: string): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['scripts/demo.mjs', '--exit', '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: scratch }, // a demo of a user has the user's environment
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk))
  return new Promise((done, refuse) => {
    child.once('error', refuse)
    child.once('close', (status) => done({ status, stdout, stderr }))
  })
}

const TITLE = 'the demo shows all its chapters within 3 GiB, says so in JSON, and ends with status 0'

if (process.env.PLIMSOLL_REQUIRE_SERVERS !== '1')
  test.skip(`${TITLE}: left out, it takes five minutes and .ci/run does it`, () => {})
else
  test(TITLE, { timeout: 1_500_000 }, async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'plimsoll-demo-test-'))
    try {
      const { status, stdout, stderr } = await runDemo(scratch)
      expect([status, stderr]).toEqual([0, ''])
      const summary = JSON.parse(stdout) as Summary // asserted below
      expect(summary.chapters).toHaveLength(CHAPTERS)
      expect(summary.chapters.filter(({ ok }) => !ok)).toEqual([])
      expect(summary.peakBytes / MIB).toBeGreaterThan(100)
      expect(summary.peakBytes / MIB).toBeLessThan(PEAK_MIB_MAX)
      console.info(`demo: ${Math.round(summary.seconds)} s, ${Math.round(summary.peakBytes / MIB)} MiB at most`)
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  })
