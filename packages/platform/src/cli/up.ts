import type { Command } from 'commander'
import { loadConfig, readEnvironment } from '../kernel/config/index.ts'
import { parseInstant } from '../kernel/instant.ts'
import { addCommand } from './command.ts'
import { besideAnother } from './connection.ts'
import { EXIT, UsageError } from './exit-code.ts'

interface UpFlags {
  config?: string
  host?: string
  port?: string
  gatewayPort?: string
  grpcPort?: string
  requireToken?: boolean
  replayOrigin?: string
  replayRate?: string
}

const RATE_MAX = 1_000_000

function wholeNumber(text: string | undefined): number | string | undefined {
  return text === undefined || !/^\d+$/.test(text) ? text : Number(text)
}

function replayOf(flags: UpFlags): { originMs: number; rate: number } | undefined {
  const { replayOrigin, replayRate = '1' } = flags
  const refuse = (value: string, flag: string, why: string) =>
    new UsageError(`Cannot use "${value}" as ${flag}: expected ${why}`)
  const rate = Number(replayRate)
  if (!(rate > 0 && rate <= RATE_MAX))
    throw refuse(replayRate, '--replay-rate', `a number above 0 and at most ${RATE_MAX}`)
  if (replayOrigin === undefined) {
    if (flags.replayRate === undefined) return undefined
    throw new UsageError(
      'Cannot use --replay-rate alone: it needs --replay-origin',
      'Say where the clock starts, for example --replay-origin 2001-01-01T00:00:00Z',
    )
  }
  const originMs = parseInstant(replayOrigin)
  if (originMs === undefined)
    throw refuse(replayOrigin, '--replay-origin', 'an instant, for example 2001-01-01T00:00:00Z')
  return { originMs, rate }
}

/** Resolves when the operator, the terminal or the launcher asks to stop: true where somebody waits or is gone, for all but SIGTERM. */
function stopAsked(): Promise<boolean> {
  return new Promise((resolve) => {
    process.on('SIGTERM', () => resolve(false))
    for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve(true))
    process.once('disconnect', () => resolve(true))
  })
}

export function addUp(program: Command): void {
  addCommand<UpFlags & { dataDir?: string }>(program, {
    use: 'up',
    summary: 'start the platform here: control plane, gateway, and what they need',
    example: 'plimsoll up --data-dir .plimsoll --port 7440',
    isRemote: false,
    options: [
      ['--data-dir <dir>', 'where everything is kept (default: .plimsoll)'],
      ['--config <file>', 'settings (default: plimsoll.yaml in the data directory)'],
      ['--host <host>', 'address to listen on (default: 127.0.0.1)'],
      ['--port <port>', 'port of the control plane, 0 for a free one (default: 7440)'],
      ['--gateway-port <port>', 'port of the gateway, 0 for a free one (default: 7441)'],
      ['--grpc-port <port>', 'kept for gRPC, which is not served yet (default: 7442)'],
      ['--require-token', 'ask for a token on loopback too, on both ports: for hosts that others share'],
      ['--replay-origin <instant>', 'create the data directory with a clock that starts here'],
      ['--replay-rate <rate>', 'and runs this many times as fast; needs --replay-origin (default: 1)'],
    ],
    action: async ({ io, options }) => {
      const server = {
        host: options.host,
        port: wholeNumber(options.port),
        gatewayPort: wholeNumber(options.gatewayPort),
        grpcPort: wholeNumber(options.grpcPort),
      }
      const flags = { dataDir: options.dataDir, server, auth: { requireToken: options.requireToken } }
      const { config, warnings } = await loadConfig({ flags, env: readEnvironment(), file: options.config })
      for (const warning of warnings) io.note(warning)
      const beside = besideAnother(config.dataDir, process.cwd())
      const replay = replayOf(options)
      const stopped = stopAsked()
      const { openUp } = await import('../processes/up.ts')
      const { isConsoleBuilt } = await import('../processes/console-files.ts')
      io.note('Starting …')
      const early = Promise.withResolvers<'stopped'>()
      void stopped.then(() => early.resolve('stopped'))
      // Also off a terminal: a service manager keeps what a supervisor says of deaths.
      const opening = openUp({ config, replay, onChange: (line) => void process.stderr.write(`${line}\n`) })
      const up = await Promise.race([opening, early.promise])
      if (up === 'stopped') {
        await opening.then((late) => late.close(true)).catch(() => {})
        return
      }
      for (const warning of [...beside, ...up.warnings]) io.tell({ warning }, `Warning: ${warning}`)
      io.answer({ ready: true, api: up.api, gateway: up.gateway ?? null, grpc: up.grpc ?? null, pid: process.pid }, [
        `Plimsoll is up: ${up.api}`,
        ...(isConsoleBuilt() ? [] : ['  console  not built: run npm run build in the checkout, then start again']),
        ...(up.gateway ? [`  gateway  ${up.gateway}`] : []),
        ...(up.grpc ? [`  gRPC     ${up.grpc}`] : []),
        `  data     ${config.dataDir}`,
        `  logs     ${up.logs}`,
        'Press Ctrl-C to stop.',
      ])
      const isHurried = await stopped
      // Also off a terminal: who asked waits.
      if (!io.isJson)
        process.stderr.write('Stopping. Steps that run, if any, go on and are followed again at the next start\n')
      await up.close(isHurried)
      process.exitCode = EXIT.ok
    },
  })
}
