import { dirname, join, normalize } from 'node:path'
import { type Node, parseSync, Visitor } from 'oxc-parser'

const ROOM = /^packages\/platform\/src\/(?:kernel\/)?([a-z-]+)\//
/** Where the interface of events is, and what makes them: it declares and emits none. */
const MAKING = 'packages/platform/src/kernel/db/'

interface Place {
  readonly path: string
  readonly line: number
}

/**
 * What the types cannot say of outbox events: who emits imports the schemas, so that they are there when it runs; an event
 * is declared in the room that emits it and has its name; each that is declared is emitted.
 */
export function checkEvents(sources: ReadonlyMap<string, string>): string[] {
  const problems: string[] = []
  const [declared, emitted] = [new Map<string, Place>(), new Set<string>()]
  const read = [...sources].filter(
    ([path]) => ROOM.test(path) && !path.startsWith(MAKING) && !/\.(test|fixture|contract)\.ts$/.test(path),
  )
  for (const [path, text] of read)
    for (const [type, place] of declarationsOf(path, text)) {
      declared.set(type, place)
      if (!type.startsWith(`${roomOf(path)}.`))
        problems.push(`${at(place)}: event ${type} does not begin with the name of its room`)
    }
  for (const [path, text] of read)
    for (const { types, isComputed, ...place } of emissionsOf(path, text)) {
      if (isComputed) problems.push(`${at(place)}: the type of an event is computed`)
      for (const type of types) {
        emitted.add(type)
        const from = declared.get(type)?.path
        if (from === undefined || roomOf(from) !== roomOf(path))
          problems.push(`${at(place)}: event ${type} is not declared in events.ts of the room that emits it`)
        else if (!importsOf(path, text).includes(from))
          problems.push(`${at(place)}: emits ${type} without an import of its ${from}`)
      }
    }
  for (const [type, place] of declared)
    if (!emitted.has(type)) problems.push(`${at(place)}: event ${type} is emitted nowhere`)
  return problems
}

function at({ path, line }: Place): string {
  return `${path}:${line}`
}

function roomOf(path: string): string {
  return ROOM.exec(path)![1]! // of a path that was chosen by it
}

function lineOf(text: string, { start }: { start: number }): number {
  return text.slice(0, start).split('\n').length
}

/** The types of `declareEvents({ 'domain.what_happened': … })` of an `events.ts`. */
function declarationsOf(path: string, text: string): [string, Place][] {
  if (!path.endsWith('/events.ts')) return []
  const found: [string, Place][] = []
  new Visitor({
    CallExpression({ callee, arguments: [events] }) {
      if (callee.type !== 'Identifier' || callee.name !== 'declareEvents' || events?.type !== 'ObjectExpression') return
      for (const member of events.properties)
        if (member.type === 'Property')
          for (const type of textsOf(member.key)) found.push([type, { path, line: lineOf(text, member) }])
    },
  }).visit(parseSync(path, text).program)
  return found
}

/** Calls of `tx.emit(…)` and `emittingEvents('…', …)`, and the types that each may emit. */
function emissionsOf(path: string, text: string): (Place & { types: string[]; isComputed: boolean })[] {
  if (!/\.emit\(|\bemittingEvents\(/.test(text)) return []
  const found: ReturnType<typeof emissionsOf> = []
  new Visitor({
    CallExpression(call) {
      const {
        callee,
        arguments: [event],
      } = call
      const isEmit =
        callee.type === 'MemberExpression' && callee.property.type === 'Identifier' && callee.property.name === 'emit'
      const isQuery = callee.type === 'Identifier' && callee.name === 'emittingEvents'
      if (!isEmit && !isQuery) return
      const given = isQuery ? choicesOf(event) : choicesOf(event).flatMap((one) => choicesOf(memberOf(one, 'type')))
      const types = given.flatMap(textsOf)
      found.push({
        path,
        line: lineOf(text, call),
        types,
        isComputed: types.length === 0 || types.length < given.length,
      })
    },
  }).visit(parseSync(path, text).program)
  return found
}

/** Both sides of a choice, or what is none. */
function choicesOf(node: Node | null | undefined): Node[] {
  if (!node) return []
  return node.type === 'ConditionalExpression' ? [node.consequent, node.alternate].flatMap(choicesOf) : [node]
}

function textsOf(node: Node | null | undefined): string[] {
  return choicesOf(node).flatMap((one) => (one.type === 'Literal' && typeof one.value === 'string' ? [one.value] : []))
}

function memberOf(node: Node, name: string): Node | undefined {
  if (node.type !== 'ObjectExpression') return undefined
  for (const member of node.properties)
    if (member.type === 'Property' && member.key.type === 'Identifier' && member.key.name === name) return member.value
  return undefined
}

/** Files whose code runs before this one's: an import of types alone is erased. */
function importsOf(path: string, text: string): string[] {
  return parseSync(path, text)
    .module.staticImports.filter(({ entries }) => entries.length === 0 || entries.some(({ isType }) => !isType))
    .map(({ moduleRequest }) => normalize(join(dirname(path), moduleRequest.value)))
}
