import { writeSync } from 'node:fs'
import { registerHooks, syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'

/** Runs in a child that may read the project and our sdk, and nothing else. Arguments: project file, sdk entry, pid of who asks. Answers on fd 3. */
const [file, sdk, parent] = process.argv.slice(2)
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '@plimsoll/sdk' && sdk
      ? { url: pathToFileURL(sdk).href, shortCircuit: true }
      : next(specifier, context),
})

// One that waits would go on for ever where its parent was killed; one that computes has its bound from the system.
setInterval(() => process.ppid === Number(parent) || process.exit(1), 1_000).unref()

/** Nobody's to call here: Node asks no permission for it. */
function takeAway(from: object, what: string, names: readonly string[]): void {
  for (const name of names)
    Object.defineProperty(from, name, {
      value: () => {
        throw Object.assign(new Error(name), { code: 'ERR_ACCESS_DENIED', permission: `${what}.${name}` })
      },
    })
}

// A signal may end the platform, or open another process to a debugger.
takeAway(process, 'process', ['kill', '_kill', '_debugProcess'])
takeAway(os, 'os', ['setPriority'])
syncBuiltinESMExports()

const ANSWER_FD = 3
// What is called from deep within is still told the line of the project.
Error.stackTraceLimit = 50
const url = pathToFileURL(file ?? '').href
/** The sdk tells it what is defined, exported or not. */
const made: { kind: string; name: string }[] = []
Object.assign(globalThis, { [Symbol.for('plimsoll.definitions')]: made })
const loaded = await import(url).catch(refuse)
const found = Object.values(loaded as Record<string, unknown>) // the user's module
  .flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]))
  .filter((value) => typeof value === 'object' && value !== null && 'kind' in value && 'name' in value)
const exported = new Set(found.map((value) => keyOf(value as { kind: string; name: string }))) // judged by who asks
const hidden = [...new Set(made.map(keyOf))].filter((key) => !exported.has(key))
const bytes = Buffer.from(JSON.stringify({ found, hidden }))
for (let offset = 0; offset < bytes.length; ) offset += writeSync(ANSWER_FD, bytes, offset)

function keyOf({ kind, name }: { kind: string; name: string }): string {
  return `${kind} "${name}"`
}

/** Where the project's own code was: its file if that is among the callers, else another of its folder. */
function placeOf(stack: string): string {
  const folder = new URL('.', url).href
  const own = [...stack.matchAll(/(file:\/\/[^\s()]+?):(\d+)/g)].filter(
    ([, at]) => at!.startsWith(folder) && !at!.includes('/node_modules/') && at !== pathToFileURL(sdk ?? '').href,
  )
  const [, at, line] = own.find(([, file]) => file === url) ?? own[0] ?? []
  if (at === undefined) return ''
  return `${at === url ? '' : `${decodeURIComponent(at.slice(folder.length))} `}line ${line}: `
}

/** What Node may be told to refuse. */
interface NodeError extends Error {
  readonly code?: unknown
  readonly permission?: unknown
  readonly resource?: unknown
}

/** What was denied, in words: Node names the option that would allow it. A failed connection does not say by what. */
function denial({ permission, resource }: NodeError): string {
  if (permission === 'FileSystemRead') return `it may not read ${JSON.stringify(resource)}`
  if (permission === 'FileSystemWrite') return `it may not write ${JSON.stringify(resource)}`
  if (permission === 'Net' || permission === undefined) return 'it may not use the network'
  return permission === 'ChildProcess' ? 'it may not start a process' : `it may not use ${String(permission)}`
}

/** Says in one line what went wrong and where: Node would print a page. */
function refuse(thrown: unknown): never {
  if (!(thrown instanceof Error)) throw new Error(`it threw ${inspect(thrown)}`)
  const denied = ([thrown, thrown.cause] as NodeError[]).find((one) => one?.code === 'ERR_ACCESS_DENIED')
  if (denied !== undefined) {
    writeSync(2, `Error [ERR_ACCESS_DENIED]: ${placeOf(thrown.stack ?? '')}${denial(denied)}\n`)
    process.exit(1)
  }
  // Only what Node itself prints of an error that nobody catches says where a file is no program.
  if (thrown instanceof SyntaxError && placeOf(thrown.stack ?? '') === '') throw thrown
  const { name, message, code } = thrown as NodeError
  const kind = typeof code === 'string' ? `${name} [${code}]` : name
  writeSync(2, `${kind}: ${placeOf(thrown.stack ?? '')}${message.split('\n')[0]}\n`)
  process.exit(1)
}
