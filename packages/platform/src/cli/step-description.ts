import { type CacheVerdict, changedText, ownParamsOf, type StepDetail } from '@plimsoll/sdk/wire'
import { countText } from '../kernel/count-text.ts'
import { printable } from './io.ts'
import { progressText, stateText, tookOf, verdictOf } from './run-follow.ts'

const DIFFS_SHOWN_MAX = 10
const VALUE_CHARS_MAX = 100
/** What is shown before the first difference of two long values. */
const SAME_CHARS = 40
const DIGEST_CHARS = 19

const SAID: Partial<Record<CacheVerdict['reason'], string>> = {
  'first-run': 'the cache has nothing of it',
  'outputs-missing': 'its stored outputs are gone',
  'result-gone': 'what it made on the server is gone, or was judged by other expectations since',
  tainted: 'it was found not to repeat',
  forced: 'it was told to run',
  disabled: 'its kind, its definition or the run is without the cache',
}

function short(text: string | null): string {
  if (text === null) return 'nothing'
  if (text.startsWith('sha256:')) return `${text.slice(0, DIGEST_CHARS)}…`
  return text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text
}

/** Both sides of a change; of long values the part that holds their first difference. */
function changeText(old: string | null, now: string | null): string {
  let same = 0
  while (same < (old ?? '').length && old?.[same] === now?.[same]) same++
  const isFar = old !== null && now !== null && old !== now && same >= VALUE_CHARS_MAX
  const from = (text: string | null) => (isFar ? `…${short(text!.slice(same - SAME_CHARS))}` : short(text))
  return `${from(old)} → ${from(now)}`
}

function cacheLines(cache: CacheVerdict | null): string[] {
  if (!cache) return []
  if (cache.hit)
    return [`  cache  ${cache.reason}${cache.source ? `, same as ${cache.source.run}/${cache.source.step}` : ''}`]
  const more = cache.diff.length - DIFFS_SHOWN_MAX
  return [
    `  cache  ${cache.reason}${SAID[cache.reason] ? `: ${SAID[cache.reason]}` : ''}`,
    ...cache.diff
      .slice(0, DIFFS_SHOWN_MAX)
      .map((entry) => `         ${changedText(entry)}: ${changeText(entry.old, entry.new)}`),
    ...(more > 0 ? [`         and ${more} more`] : []),
  ]
}

function timeLines(step: StepDetail): string[] {
  if (step.startedAt === null) return []
  const took = tookOf(step)
  return [`  time   ${step.startedAt} – ${step.finishedAt ?? 'now'}${took ? `  ${took}` : ''}`]
}

function tryLine({ number, state, startedAt, finishedAt, message }: StepDetail['tries'][number]): string {
  // The last line of a failure of Node says where it was.
  const last = message
    ?.trim()
    .split('\n')
    .findLast((line) => !line.startsWith('    at '))
  return [`  try ${number}  ${state}`, `${startedAt} – ${finishedAt ?? 'now'}`, ...(last ? [last] : [])].join('  ')
}

/** What the step says of itself, then the user's params. */
function paramLines({ kind, params }: StepDetail): string[] {
  const sorted = Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1))
  const own = ownParamsOf(kind, params)
  const isOwn = ([name]: [string, unknown]) => Object.hasOwn(own, name)
  return [
    ...sorted
      .filter((entry) => !isOwn(entry))
      .map(([name, value]) => `  ${name.padEnd(6)} ${short(JSON.stringify(value))}`),
    ...sorted.filter(isOwn).map(([name, value]) => `  param  ${name}  ${short(JSON.stringify(value))}`),
  ]
}

/** A step as people read it: when it ran and why, with what, and what came of it. */
export function describeStep(step: StepDetail): string[] {
  const progress = progressText(step)
  return [
    `${step.key} (${step.kind}) ${stateText(step.state)}`,
    ...(step.reason
      ? step.reason
          .trimEnd()
          .split('\n')
          .map((line) => `      ${line}`)
      : []),
    ...timeLines(step),
    ...(progress ? [`  at     ${progress}`] : []),
    ...(step.finishedAt !== null && step.progress?.message ? [`  said   ${step.progress.message}`] : []),
    ...cacheLines(verdictOf(step)),
    ...paramLines(step),
    ...Object.entries(step.definition.secrets ?? {}).map(([variable, name]) => `  secret ${variable}  ${name}`),
    ...step.inputs.map((input) => `  in     ${input.name}  ${input.type}  ${input.digest}`),
    ...(step.made ? [`  made   ${step.made.type} ${step.made.name}/${step.made.version}`] : []),
    ...step.outputs.map(
      (output) => `  out    ${output.name}  ${output.type}  ${output.digest}  ${countText(output.sizeBytes, 'byte')}`,
    ),
    ...step.tries.map(tryLine),
  ].map(printable)
}
