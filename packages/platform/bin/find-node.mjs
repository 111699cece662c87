// Written for Node 20: finds the Node that the platform runs on and hands over to it.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const MAJOR = 26
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGQUIT']

/** Path of a Node of the needed major version, or undefined. `from` is the URL of the module that asks. */
export function findNode(from) {
  const name = `node-${process.platform}-${process.arch}`
  try {
    const path = join(dirname(createRequire(from).resolve(`${name}/package.json`)), 'bin', 'node')
    if (existsSync(path)) return path
  } catch {
    // not installed: the running Node may do
  }
  return Number(process.versions.node.split('.')[0]) >= MAJOR ? process.execPath : undefined
}

/** Runs `args` under that Node with this process's terminal, signals and exit status. */
export function handOver(from, args) {
  const node = findNode(from)
  if (node === undefined) {
    process.stderr.write(
      `plimsoll: no Node ${MAJOR} here: the package node-${process.platform}-${process.arch} is not installed and this is Node ${process.versions.node}. Run npm install with optional dependencies, or use Node ${MAJOR}.\n`,
    )
    process.exit(5)
  }
  // Before there is a child: one that is seen can be ended through its launcher.
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal))
  // The channel tells the child that its launcher has vanished, however it died.
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  // Whoever started this with a channel may vanish too; only the channel tells.
  if (process.channel) process.once('disconnect', () => child.kill('SIGTERM'))
  child.on('error', (error) => {
    process.stderr.write(`plimsoll: cannot start ${node}: ${error.message}\n`)
    process.exit(5)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const forwarded of SIGNALS) process.removeAllListeners(forwarded)
    process.kill(process.pid, signal)
  })
}
