import { open } from 'node:fs/promises'
import { type Document, isAlias, LineCounter, parseDocument, visit } from 'yaml'
import { type Fault, PlimsollError, refuseFaults } from '../../kernel/errors.ts'

const YAML_BYTES_MAX = 256 * 1024
const MEMBERS = ['project', 'definitions']

/** A YAML project, parsed: what it declares, and the line of each place in it. */
export interface YamlProject {
  readonly found: readonly unknown[]
  /** `line 7: `, or nothing when the place is not there. `path` is that in the list `found`. */
  where(path: readonly PropertyKey[]): string
}

function refuse(file: string, detail: string, action?: string): never {
  const more = action === undefined ? {} : { action }
  throw new PlimsollError('invalid', 'definitions.bad_yaml', `Cannot read ${file}: ${detail}`, more)
}

/** At most the limit is read, whatever the file is. */
async function readText(file: string): Promise<string> {
  const handle = await open(file)
  const buffer = Buffer.alloc(YAML_BYTES_MAX + 1)
  let size = 0
  try {
    for (let read = 1; read > 0 && size < buffer.length; size += read)
      read = (await handle.read(buffer, size, buffer.length - size)).bytesRead
  } finally {
    await handle.close()
  }
  if (size > YAML_BYTES_MAX)
    throw new PlimsollError(
      'too_large',
      'definitions.yaml_too_large',
      `Cannot read ${file}: it is larger than ${YAML_BYTES_MAX} bytes`,
    )
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, size))
  } catch {
    return refuse(file, 'it is not UTF-8')
  }
}

function lineAt(lines: LineCounter, offset: number): string {
  return `line ${lines.linePos(offset).line}`
}

function parseText(file: string, text: string, lines: LineCounter): Document {
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' })
  // The parser calls itself for each level, and takes the end of the stack for a fault of the text.
  if (document.errors.some((error) => /call stack/.test(error.message))) refuse(file, 'it nests too deeply')
  const faults = [...document.errors, ...document.warnings].map((error) => ({
    pointer: '',
    detail: `${lineAt(lines, error.pos[0])}: ${error.message}`,
  }))
  refuseFaults('definitions.bad_yaml', `Cannot read ${file}: ${faults[0]?.detail ?? ''}`, faults)
  visit(document, (_key, node) => {
    if (isAlias(node))
      refuse(file, `${lineAt(lines, node.range?.[0] ?? 0)}: an alias (*${node.source}) is not taken`, 'Write it out')
  })
  return document
}

/**
 * Reads the YAML form: `project` is the name, `definitions` the list that `define*` would make. No aliases, no tags of
 * one's own, one document. @throws invalid definitions.bad_yaml · too_large definitions.yaml_too_large
 */
export async function readYamlProject(file: string): Promise<YamlProject> {
  const lines = new LineCounter()
  const document = parseText(file, await readText(file), lines)
  const where = (path: readonly PropertyKey[]): string => {
    for (let known = [...path]; known.length > 0; known = known.slice(0, -1)) {
      const node = document.getIn(known, true) as { range?: [number, number, number] | null } | undefined // a node: keepScalar
      if (node?.range) return `${lineAt(lines, node.range[0])}: `
    }
    return ''
  }
  const content: unknown = document.toJS({ maxAliasCount: 0 })
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    refuse(file, 'expected project: NAME and definitions: a list')
  const faults: Fault[] = Object.keys(content).flatMap((name) =>
    MEMBERS.includes(name)
      ? []
      : [{ pointer: `/${name}`, detail: `${where([name])}is not one of ${MEMBERS.join(', ')}` }],
  )
  const { project, definitions = [] } = content as { project?: unknown; definitions?: unknown } // both are looked at
  if (typeof project !== 'string')
    faults.push({ pointer: '/project', detail: `${where(['project'])}expected the name of the project` })
  if (!Array.isArray(definitions))
    faults.push({ pointer: '/definitions', detail: `${where(['definitions'])}expected a list` })
  refuseFaults('definitions.bad_yaml', `Cannot read ${file}: ${faults[0]?.detail ?? ''}`, faults)
  return {
    found: [{ kind: 'project', name: project }, ...(definitions as unknown[])],
    where: ([index, ...rest]) => where(index === 0 ? ['project'] : ['definitions', Number(index) - 1, ...rest]),
  }
}
