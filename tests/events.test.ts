import { expect, test } from 'vitest'
import { checkEvents } from './house/events.ts'
import { readSources } from './house/sources.ts'

test('outbox events are declared by the room that emits them, and each that is declared is emitted', () => {
  expect(checkEvents(readSources())).toEqual([])
})

const MOVED = "import './events.ts'\ntx.emit({ type: 'registry.moved', subject, data })"
const DECLARED = "declareEvents({\n  'registry.moved': event,\n})"

const PLANTED_EVENTS: [string, Record<string, string>, string][] = [
  [
    'an event that nobody declares',
    { 'registry/a.ts': MOVED },
    'registry/a.ts:2: event registry.moved is not declared in events.ts of the room that emits it',
  ],
  [
    'an event of another room',
    { 'delivery/a.ts': MOVED, 'registry/a.ts': MOVED, 'registry/events.ts': DECLARED },
    'delivery/a.ts:2: event registry.moved is not declared in events.ts of the room',
  ],
  [
    'one of two events that nobody declares',
    {
      'registry/a.ts':
        "import './events.ts'\ntx.emit({ type: is ? 'registry.moved' : 'registry.gone', subject, data })",
      'registry/events.ts': DECLARED,
    },
    'registry/a.ts:2: event registry.gone is not declared',
  ],
  [
    'an event of a query that nobody declares',
    { 'registry/a.ts': "emittingEvents('registry.gone', rows)" },
    'registry/a.ts:1: event registry.gone is not declared',
  ],
  [
    'a schema that nobody loads',
    { 'registry/a.ts': MOVED.split('\n')[1]!, 'registry/events.ts': DECLARED },
    'registry/a.ts:1: emits registry.moved without an import of its packages/platform/src/registry/events.ts',
  ],
  [
    'an event with the name of another room',
    { 'kernel/auth/a.ts': MOVED, 'kernel/auth/events.ts': DECLARED },
    'auth/events.ts:2: event registry.moved does not begin with the name of its room',
  ],
  [
    'an event that nobody emits',
    { 'registry/events.ts': DECLARED, 'registry/a.test.ts': MOVED },
    'registry/events.ts:2: event registry.moved is emitted nowhere',
  ],
  [
    'a schema of which types alone are imported',
    { 'registry/a.ts': MOVED.replace("import '", "import type { Moved } from '"), 'registry/events.ts': DECLARED },
    'registry/a.ts:2: emits registry.moved without an import of its',
  ],
  [
    'a choice of which one side is computed',
    {
      'registry/a.ts': MOVED.replace("'registry.moved'", "is ? 'registry.moved' : other"),
      'registry/events.ts': DECLARED,
    },
    'the type of an event is computed',
  ],
  ['a computed type', { 'registry/a.ts': 'tx.emit({ type, subject, data })' }, 'the type of an event is computed'],
  ['a computed event', { 'registry/a.ts': 'tx.emit(event)' }, 'the type of an event is computed'],
]

test.each(PLANTED_EVENTS)('checkEvents() finds: %s', (_name, files, expected) => {
  const planted = Object.entries(files).map(([path, text]) => [`packages/platform/src/${path}`, text] as const)
  expect(checkEvents(new Map(planted)).join('\n')).toContain(expected)
})

test('checkEvents() lets a part of a room emit what the room declares', () => {
  const planted = { 'registry/events.ts': DECLARED, 'registry/edit/a.ts': MOVED.replace('./', '../') }
  const sources = Object.entries(planted).map(([path, text]) => [`packages/platform/src/${path}`, text] as const)
  expect(checkEvents(new Map(sources))).toEqual([])
})
