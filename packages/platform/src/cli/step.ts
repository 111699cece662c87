import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { delimiter, dirname, isAbsolute } from 'node:path'
import { type StepDebugView, stepDebugView, stepDetail } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { readEnvironment } from '../kernel/config/index.ts'
import { addCommand, addGroup } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { CommandEnd } from './exit-code.ts'
import { describeStep } from './step-description.ts'
import { stepPathOf } from './step-name.ts'

/** A shell reports a program that signal n ended as 128 + n. */
const SIGNAL_BASE = 128

function addShow(group: Command): void {
  addCommand(group, {
    use: 'show <run> [step]',
    summary:
      'show a step (RUN STEP or RUN/STEP): times, cache verdict with its reason, params, inputs, outputs, attempts',
    example: 'plimsoll step show run_0192… train',
    action: async ({ io, options, args }) => {
      const step = await connect(options).client.call({ path: stepPathOf(args, flagsOf(options)), schema: stepDetail })
      io.answer(step, describeStep(step))
    },
  })
}

/** What the step ran comes first: its Python has its packages. */
function pathOf({ argv, environment }: StepDebugView): string {
  const [program = ''] = argv
  return [...(isAbsolute(program) ? [dirname(program)] : []), environment['PATH'] ?? ''].filter(Boolean).join(delimiter)
}

function addDebug(group: Command): void {
  addCommand<{ run?: boolean }>(group, {
    use: 'debug <run> [step]',
    summary:
      'open a shell in the files and environment of the newest attempt of a step (RUN STEP or RUN/STEP, on the same machine)',
    example: 'plimsoll step debug run_0192… train',
    action: async ({ io, options, args }) => {
      const view = await connect(options).client.call({
        path: `${stepPathOf(args, flagsOf(options))}/debug`,
        schema: stepDebugView,
      })
      if (io.isJson) {
        io.answer(view, '')
        return
      }
      const shell = readEnvironment().SHELL ?? '/bin/sh'
      process.stderr.write(
        `The step ran: ${view.argv.map((part) => JSON.stringify(part)).join(' ')}\nLeave with exit; files are in ${view.workDir}\n`,
      )
      const kept = Object.entries(view.secrets).map(([variable, name]) => `${variable} (secret ${name})`)
      if (kept.length > 0)
        process.stderr.write(
          `Not set here, since their values stay with the platform: ${kept.join(', ')}. Export what you need\n`,
        )
      const child = spawn(shell, [], {
        cwd: view.cwd,
        env: { ...view.environment, PATH: pathOf(view), TERM: readEnvironment().TERM ?? 'dumb' },
        stdio: 'inherit',
      })
      const status = await new Promise<number>((resolve, reject) => {
        child.once('exit', (code, signal) => resolve(code ?? SIGNAL_BASE + (signal ? constants.signals[signal] : 0)))
        child.once('error', reject)
      })
      if (status !== 0) throw new CommandEnd(status)
    },
  })
}

export function addStep(program: Command): void {
  const group = addGroup(program, 'step', 'look into one step of a run')
  addShow(group)
  addDebug(group)
}
