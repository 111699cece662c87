import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openHostedCommandLine } from './process.fixture.ts'

/** Answers nobody, until it ends. */
const silent = createServer()
beforeAll(() => new Promise<void>((done) => silent.listen(0, '127.0.0.1', done)))
afterAll(() => {
  silent.closeAllConnections()
  silent.close()
})

test('close() of a hosted command line ends the commands that run, and none begins behind it', async () => {
  const commands = openHostedCommandLine(tmpdir())
  const { port } = silent.address() as AddressInfo // it listens on TCP
  const asked = new Promise((done) => silent.once('request', done))
  const running = commands.run('run', 'list', '--server', `http://127.0.0.1:${port}`)
  await asked
  commands.close()
  await expect(running).rejects.toThrow('plimsoll run list --server')
  await expect(commands.run('run', 'list')).rejects.toThrow('begins behind the end')
})
