import { writeSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

/** Runs in a child that may read the project and our sdk, and nothing else. Arguments: project file, sdk entry. Answers on fd 3. */
const [file, sdk] = process.argv.slice(2)
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '@plimsoll/sdk' && sdk
      ? { url: pathToFileURL(sdk).href, shortCircuit: true }
      : next(specifier, context),
})

const ANSWER_FD = 3
const loaded = (await import(pathToFileURL(file ?? '').href)) as Record<string, unknown> // the user's module
const found = Object.values(loaded)
  .flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]))
  .filter((value) => typeof value === 'object' && value !== null && 'kind' in value && 'name' in value)
const bytes = Buffer.from(JSON.stringify(found))
for (let offset = 0; offset < bytes.length; ) offset += writeSync(ANSWER_FD, bytes, offset)
