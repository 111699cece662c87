import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const SHORT_DEMO = resolve(import.meta.dirname, 'short-demo.fixture.mjs')

let scratch: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'plimsoll-stays-up-'))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

interface Shown {
  readonly child: ChildProcess
  readonly text: string
  readonly work: string
  ended(): Promise<{ status: number | null; stderr: string }>
}

/** A demo that has shown its chapters and stays up, on free ports. */
async function showDemo(): Promise<Shown> {
  const child = spawn(process.execPath, [SHORT_DEMO], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: scratch, PLIMSOLL_SERVER_PORT: '0', PLIMSOLL_SERVER_GATEWAY_PORT: '0' },
  })
  const end = new Promise<number | null>((done) => child.once('close', done))
  let text = ''
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk)
  })
  await new Promise<void>((done, refuse) => {
    child.stdout.on('data', (chunk) => {
      text += String(chunk)
      if (text.includes('Ctrl-C stops it')) done()
    })
    void end.then((status) => refuse(new Error(`the demo ended with ${status}: ${text}${stderr}`)))
  })
  const [, work = ''] = /^Working in (.+)$/m.exec(text) ?? []
  return { child, text, work, ended: async () => ({ status: await end, stderr }) }
}

test('a demo closes with addresses that answer, stays up, and ends at Ctrl-C without a trace', async () => {
  const { child, text, work, ended } = await showDemo()
  expect(text).toContain('All chapters showed what they must, in')
  const addresses = [...text.matchAll(/http:\/\/\S+/g)].map(([address]) => address)
  expect(addresses).toHaveLength(7)
  // What this demo has not released has no OpenAPI.
  for (const address of addresses)
    expect((await fetch(address)).status, address).toBe(address.endsWith('openapi.json') ? 404 : 200)
  expect(child.exitCode).toBe(null)
  child.kill('SIGINT')
  expect(await ended()).toEqual({ status: 130, stderr: '' })
  expect(existsSync(work)).toBe(false)
})

test('a demo whose platform dies ends with one line, and keeps what it did', async () => {
  const { child, work, ended } = await showDemo()
  const [platform] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ').map(Number)
  process.kill(platform!, 'SIGKILL')
  const { status, stderr } = await ended()
  expect(status).toBe(1)
  expect(stderr).toMatch(/^demo: the platform ended with SIGKILL.*; what it did is in \S+ until the next demo\n$/)
  expect(existsSync(work)).toBe(true)
})
