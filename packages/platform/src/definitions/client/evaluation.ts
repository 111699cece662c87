import { writeSync } from 'node:fs'
import { registerHooks } from 'node:module'
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

const ANSWER_FD = 3
const url = pathToFileURL(file ?? '').href
const loaded = await import(url).catch(refuse)
const found = Object.values(loaded as Record<string, unknown>) // the user's module
  .flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]))
  .filter((value) => typeof value === 'object' && value !== null && 'kind' in value && 'name' in value)
const bytes = Buffer.from(JSON.stringify(found))
for (let offset = 0; offset < bytes.length; ) offset += writeSync(ANSWER_FD, bytes, offset)

interface Issue {
  readonly path: readonly PropertyKey[]
  readonly message: string
  /** Of a key: what is wrong with it. */
  readonly issues?: readonly Issue[]
}

/** Says in one line what a definition refused: printed by Node, its faults would be a page of JSON. */
function refuse(thrown: unknown): never {
  if (!(thrown instanceof Error)) throw new Error(`it threw ${inspect(thrown)}`)
  const { issues: found } = thrown as { issues?: unknown } // of zod
  if (!Array.isArray(found)) throw thrown
  const line = thrown.stack?.split(`${url}:`)[1]?.match(/^\d+/)?.[0]
  const faults = (found as readonly Issue[]).map(
    ({ path, message, issues }) =>
      `${path.length === 0 ? '' : `${path.map(String).join('/')}: `}${issues?.[0]?.message ?? message}`,
  )
  writeSync(2, `DefinitionError: ${line === undefined ? '' : `line ${line}: `}${faults.join('; ')}\n`)
  process.exit(1)
}
