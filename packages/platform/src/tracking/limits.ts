import { posix } from 'node:path'
import { PlimsollError } from '../kernel/errors.ts'
import { refusal } from './failure.ts'
import { refuseLonger } from './surface/fields.ts'

/** @source MLflow: mlflow/utils/validation.py */
export const LIMITS = {
  key: 250,
  paramValue: 6_000,
  runTagValue: 8_000,
  experimentTagValue: 20_000,
  experimentName: 500,
  batchMetrics: 1_000,
  batchParams: 100,
  batchTags: 100,
  batchItems: 1_000,
  loggedModelParams: 100,
  runIdsInHistory: 100,
} as const

const KEY = /^[/\p{L}\p{N}_.\- :]*$/u
const RUN_ID = /^[a-zA-Z0-9][\w-]{0,255}$/
const EXPERIMENT_ID = /^[a-zA-Z0-9][\w-]{0,63}$/

/** A metric, param or tag key. @throws invalid tracking.invalid_parameter */
export function checkKey(key: string, path: string): void {
  if (key === '') throw refusal(`Missing value for required parameter '${path}'.`)
  refuseLonger(key, LIMITS.key, path)
  if (!KEY.test(key)) {
    throw refusal(
      `Invalid value ${JSON.stringify(key.slice(0, 200))} for parameter '${path}' supplied: Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).`,
    )
  }
  if (key === '.' || key.startsWith('..') || key.startsWith('/') || posix.normalize(key) !== key || key.endsWith('/')) {
    throw refusal(
      `Invalid value ${JSON.stringify(key.slice(0, 200))} for parameter '${path}' supplied: Names may be treated as files in certain cases, and must not resolve to other names when treated as such.`,
    )
  }
}

/** Tags by which the platform says what something belongs to; nobody else sets them. */
export function isReservedTag({ key }: { readonly key: string }): boolean {
  return key.startsWith('plimsoll.')
}

/** @throws forbidden tracking.tag_reserved */
export function refuseReservedTags(tags: readonly { readonly key: string }[]): void {
  const tag = tags.find(isReservedTag)
  if (tag !== undefined)
    throw new PlimsollError(
      'forbidden',
      'tracking.tag_reserved',
      `Cannot change tag '${tag.key.slice(0, 100)}': tags that begin with "plimsoll." are written by the platform`,
    )
}

/** Without the platform's tags, which a client that copies something sends with the rest. */
export function withoutReserved<Tag extends { readonly key: string }>(tags: readonly Tag[] = []): Tag[] {
  return tags.filter((tag) => !isReservedTag(tag))
}

/** The first `max` code points: MLflow cuts long values of params and run tags and keeps the request. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text
  let end = 0
  for (let points = 0; points < max && end < text.length; points++) end += text.codePointAt(end)! > 0xffff ? 2 : 1
  return text.slice(0, end)
}

export function checkRunId(id: string): void {
  if (!RUN_ID.test(id)) throw refusal(`Invalid run ID: '${id.slice(0, 200)}'`)
}

export function checkExperimentId(id: string): void {
  if (!EXPERIMENT_ID.test(id)) throw refusal(`Invalid experiment ID: '${id.slice(0, 200)}'`)
}

export function checkInstant(ms: bigint, path: string): void {
  if (ms < 0n)
    throw refusal(`Invalid value ${ms} for parameter '${path}' supplied: Timestamps must be a nonnegative long`)
}
