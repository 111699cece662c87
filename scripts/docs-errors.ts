import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'oxc-parser'
import { ERROR_KINDS, type ErrorKind } from '../packages/platform/src/kernel/errors.ts'

/** One code: what kinds it is thrown as, and in which files. */
export interface ErrorCode {
  readonly code: string
  readonly kinds: ReadonlySet<ErrorKind>
  readonly files: ReadonlySet<string>
}

interface Node {
  type: string
  [key: string]: unknown
}

const CODE = /^[a-z][a-z_]*\.[a-z][a-z_0-9]*$/
/** `missing('run_not_found', …)` of the tracking surface, and `refuse('snapshot_unsigned', …)` of the gateway. */
const PREFIXED: Readonly<Record<string, readonly [file: RegExp, prefix: string, kind: ErrorKind]>> = {
  missing: [/src\/(tracking|registry)\//, 'tracking', 'not_found'],
  refuse: [/gateway\/snapshot-file\.ts$/, 'serving', 'invalid'],
}
const NEGATIVE_CONTEXTS = new Set(['type', 'action', 'kind'])

function literal(node: unknown): string | undefined {
  const { type, value } = (node ?? {}) as Node
  return type === 'Literal' && typeof value === 'string' ? value : undefined
}

function isKind(text: string | undefined): text is ErrorKind {
  return text !== undefined && Object.hasOwn(ERROR_KINDS, text)
}

function childrenOf(node: Node): Node[] {
  return Object.values(node)
    .flat()
    .filter((value): value is Node => typeof (value as Node | null)?.type === 'string')
}

/** Texts that an expression may have: a literal, or both sides of a choice. */
function choices(node: unknown): string[] {
  const given = (node ?? {}) as Node
  if (given.type === 'ConditionalExpression') return [...choices(given.consequent), ...choices(given.alternate)]
  const text = literal(given)
  return text === undefined ? [] : [text]
}

type Found = (code: string, kind: ErrorKind) => void

/** A thrown error, a fault list, a row of a table, or a call of a file's own short form. */
function readNode(node: Node, path: string, dynamicKind: ErrorKind | undefined, found: Found): void {
  const args = (node.arguments ?? []) as Node[]
  const callee = String((node.callee as Node | undefined)?.name ?? '')
  const isSuper = (node.callee as Node | undefined)?.type === 'Super'
  if ((node.type === 'NewExpression' && callee === 'PlimsollError') || (node.type === 'CallExpression' && isSuper))
    for (const kind of choices(args[0]).filter(isKind)) for (const code of choices(args[1])) found(code, kind)
  if (node.type === 'CallExpression') {
    if (callee === 'refuseFaults') for (const code of choices(args[0])) found(code, 'invalid')
    if (callee === 'refuseModel') for (const arg of args) for (const code of choices(arg)) found(code, 'invalid')
    const short = PREFIXED[callee]
    const name = literal(args[0])
    if (short?.[0].test(path) && name !== undefined) found(`${short[1]}.${name}`, short[2])
  }
  if (node.type === 'ArrayExpression') {
    const texts = (node.elements as Node[]).map(literal)
    for (const [index, text] of texts.entries()) {
      const next = texts[index + 1] ?? ''
      if (isKind(text) && CODE.test(next)) found(next, text)
      else if (/^4\d\d /.test(text ?? '') && CODE.test(next)) found(next, 'invalid')
    }
  }
  if (node.type === 'ObjectExpression') {
    const member = (name: string) =>
      literal((node.properties as Node[]).find((one) => (one.key as Node | undefined)?.name === name)?.value)
    const [kind, code] = [member('kind'), member('code')]
    if (isKind(kind) && code !== undefined) found(code, kind)
  }
  if (node.type === 'Property' && NEGATIVE_CONTEXTS.has(String((node.key as Node).name))) return
  const own = childrenOf(node).map(literal)
  if (dynamicKind !== undefined)
    for (const text of own) if (text !== undefined && CODE.test(text) && !isFileName(text)) found(text, dynamicKind)
}

function isFileName(text: string): boolean {
  return /\.(json|ts|mts|yaml|yml|lock|tmp|log|html|onnx)$/.test(text)
}

function visit(node: Node, each: (node: Node) => void): void {
  each(node)
  for (const child of childrenOf(node)) visit(child, each)
}

/** The kind of a file that throws with a code from elsewhere in it, when there is one such kind. */
function dynamicKindOf(program: Node): ErrorKind | undefined {
  const kinds = new Set<ErrorKind>()
  visit(program, (node) => {
    if (node.type !== 'NewExpression' || (node.callee as Node).name !== 'PlimsollError') return
    const [kind, code] = node.arguments as Node[]
    const name = literal(kind)
    if (isKind(name) && (code?.type === 'Identifier' || code?.type === 'ConditionalExpression')) kinds.add(name)
  })
  return kinds.size === 1 ? [...kinds][0] : undefined
}

/** Every code that the platform throws, read from its source. */
export function readErrorCodes(root: string): ErrorCode[] {
  const codes = new Map<string, { kinds: Set<ErrorKind>; files: Set<string> }>()
  for (const path of globSync('packages/platform/src/**/*.ts', { cwd: root }).sort()) {
    if (/\.(test|fixture|contract)\.ts$/.test(path)) continue
    const text = readFileSync(join(root, path), 'utf8')
    if (!/PlimsollError|refuse|missing\(|code: '/.test(text)) continue
    const program = parseSync(path, text).program as unknown as Node // the tree of a module
    const dynamicKind = path.endsWith('kernel/errors.ts') ? undefined : dynamicKindOf(program)
    visit(program, (node) =>
      readNode(node, path, dynamicKind, (code, kind) => {
        if (!CODE.test(code)) return
        const entry = codes.get(code) ?? { kinds: new Set(), files: new Set() }
        entry.kinds.add(kind)
        entry.files.add(path.replace('packages/platform/src/', ''))
        codes.set(code, entry)
      }),
    )
  }
  return [...codes].map(([code, entry]) => ({ code, ...entry })).sort((a, b) => (a.code < b.code ? -1 : 1))
}
