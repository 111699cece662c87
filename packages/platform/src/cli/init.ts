import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { definitionName } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { errnoText } from '../kernel/errno-text.ts'
import { makeFolder } from '../kernel/folder.ts'
import { shellWord } from '../kernel/shell-word.ts'
import { checked } from './argument.ts'
import { addCommand } from './command.ts'
import { UsageError } from './exit-code.ts'

function projectText(name: string): string {
  return `import { definePipeline, defineProject, int, python } from '@plimsoll/sdk'

/**
 * The name under which \`plimsoll apply\` owns what this file declares, and nothing else. It is not the project of the
 * server that it goes to: that is \`default\`, unless --project or PLIMSOLL_PROJECT names another.
 */
export const project = defineProject({ name: '${name}' })

/** Start it with \`plimsoll run start hello\`. A second run is taken from the cache; change the step and only it runs again. */
export const hello = definePipeline({
  name: 'hello',
  description: 'Draws points and estimates pi from them',
  params: { points: int(100_000) },
  build: (p) => {
    const draw = python('steps/draw.py', { params: { points: p.param('points') }, outputs: { points: 'file' } })
    python('steps/estimate.py', { inputs: { points: draw }, outputs: { metrics: 'json' } })
  },
})
`
}

const DRAW = `"""Draws random points. A step reads its inputs and leaves its outputs as files; it needs no package."""

import random

import plimsoll_step

step = plimsoll_step.load()
chance = random.Random(1)
with open(step.output("points").path, "w", encoding="utf-8") as file:
    for _ in range(step.params["points"]):
        file.write("%.9f %.9f\\n" % (chance.random(), chance.random()))
print("drew", step.params["points"], "points")
`

const ESTIMATE = `"""Estimates pi as four times the share of points inside the circle."""

import plimsoll_step

step = plimsoll_step.load()
inside = total = 0
with open(step.input("points").path, encoding="utf-8") as file:
    for line in file:
        x, y = map(float, line.split())
        inside += x * x + y * y <= 1
        total += 1
step.output("metrics").write_json({"pi": 4 * inside / total, "points": total})
print("pi is about", 4 * inside / total)
`

const FILES: [string, (name: string) => string][] = [
  ['plimsoll.project.mts', projectText],
  ['steps/draw.py', () => DRAW],
  ['steps/estimate.py', () => ESTIMATE],
  ['.gitignore', () => '.plimsoll/\n__pycache__/\n*.token\n'],
]

function openFolder(folder: string): void {
  try {
    makeFolder(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException // node:fs throws errno errors
    const why = code === 'ENOTDIR' || code === 'EEXIST' ? 'a file is where a folder should be' : errnoText(error)
    throw new UsageError(`Cannot write a project into ${dirname(folder)}: ${why}`, 'Choose an empty folder')
  }
}

export function addInit(program: Command): void {
  addCommand<{ name?: string }>(program, {
    use: 'init [folder]',
    summary: 'write a small project that plan, apply and run accept',
    example: 'plimsoll init my-project',
    isRemote: false,
    options: [
      [
        '--name <name>',
        'name under which the folder owns what it declares (default: that of the folder); to which project of the server it goes, --project of apply says',
      ],
    ],
    action: async ({ io, options, args }) => {
      const folder = resolve(args[0] ?? '.')
      const name =
        options.name ??
        basename(folder)
          .toLowerCase()
          .replace(/[^a-z0-9_-]+/g, '-')
          .replace(/^[^a-z]+/, '')
      checked(definitionName, name, 'the name of a project', 'Give one with --name')
      const taken = FILES.map(([path]) => path).filter(
        (path) => path !== '.gitignore' && existsSync(join(folder, path)),
      )
      if (taken.length > 0)
        throw new UsageError(
          `Cannot write a project into ${folder}: ${taken.join(', ')} ${taken.length === 1 ? 'is' : 'are'} there already`,
          'Choose an empty folder',
        )
      openFolder(join(folder, 'steps'))
      const written = FILES.filter(([path]) => !existsSync(join(folder, path)))
      for (const [path, text] of written) writeFileSync(join(folder, path), text(name), { flag: 'wx' })
      io.answer({ folder, name, files: written.map(([path]) => path), entries: readdirSync(folder) }, [
        `A project that owns what it declares as ${name} is in ${folder}. It goes to the server's project default, unless --project names another. Next:`,
        ...(folder === process.cwd() ? [] : [`  cd ${shellWord(args[0]!)}`]),
        '  plimsoll up                  # in another terminal',
        '  plimsoll apply',
        '  plimsoll run start hello',
      ])
    },
  })
}
