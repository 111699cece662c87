import type { OnlineStore } from '@plimsoll/sdk/seams'
import { type FeatureServingSpec, featureServingSpec } from '@plimsoll/sdk/wire'
import { PlimsollError } from '../../kernel/errors.ts'
import { type EncodedKey, encodeKey, historyKey, type KeyValue, rowSection, windowSection } from './entity-key.ts'
import { createHistoryReader } from './row-history.ts'
import { createRowReader, type RowReader } from './row-value.ts'
import { createWindowReader, type WindowTotals } from './window-value.ts'

/**
 * `INVALID`: the store no longer holds the whole window, or what was known at an instant so long ago. `OUTSIDE_MAX_AGE`: the newest row is older than the view's ttl,
 * or what a window needs was not brought to the store for longer than its tolerance.
 */
export type FeatureStatus = 'PRESENT' | 'NULL_VALUE' | 'NOT_FOUND' | 'OUTSIDE_MAX_AGE' | 'INVALID'

/** `values[i]` and `statuses[i]` belong to `names[i]`; NaN where there is no value. */
export interface LookedUp {
  readonly values: Float64Array
  readonly statuses: FeatureStatus[]
}

export interface OnlineReader {
  readonly names: readonly string[]
  /**
   * Features of one row as they were known at `nowUs`, looked up by its inputs. An input that is null finds nothing.
   * @throws invalid features.type_mismatch_key
   */
  lookup(inputs: Readonly<Record<string, unknown>>, nowUs: bigint): LookedUp
}

type ViewSpec = FeatureServingSpec['views'][number]
type WindowSpec = ViewSpec['windows'][number]

/** Aggregates that one pass answers: same column, same window. */
interface Pass {
  readonly column: number
  readonly windowUs: number
  readonly features: readonly WindowSpec[]
  /** How far the store may lag behind before the window has no value. */
  readonly toleranceUs: number
  /** True: more than counts, sums and means. */
  readonly needsSpread: boolean
}

function passesOf({ windows, ttlUs }: ViewSpec): Pass[] {
  const groups = Object.groupBy(windows, ({ column, windowUs }) => `${column}/${windowUs}`)
  return Object.values(groups).flatMap((features = []) => {
    const [first] = features
    if (!first) return []
    const needsSpread = features.some(({ function: name }) => name === 'min' || name === 'max' || name === 'std')
    const toleranceUs = Math.min(first.windowUs, ttlUs ?? first.windowUs)
    return [{ column: first.column, windowUs: first.windowUs, features, toleranceUs, needsSpread }]
  })
}

function aggregateOf(name: WindowSpec['function'], totals: WindowTotals): number {
  if (name === 'count') return totals.count
  if (totals.count === 0) return Number.NaN
  switch (name) {
    case 'sum':
      return totals.sum
    case 'mean':
      return totals.sum / totals.count
    case 'min':
      return totals.min
    case 'max':
      return totals.max
    case 'std':
      return totals.count > 1 ? Math.sqrt(totals.m2 / (totals.count - 1)) : Number.NaN
  }
}

const isNullAggregate = (name: WindowSpec['function'], count: number): boolean =>
  name !== 'count' && count < (name === 'std' ? 2 : 1)

/** Reads the features of a service from a store on this host, by a spec that `servingSpec` made. */
export function openOnlineReader(options: { store: OnlineStore; spec: unknown }): OnlineReader {
  const spec = featureServingSpec.parse(options.spec)
  const { store } = options
  if (!store.readNow || !store.generationNow)
    throw new PlimsollError(
      'unsupported',
      'features.store_not_local',
      'Cannot look features up: the online store does not answer at once',
    )
  const views = spec.views.map((view) => compileView(view, store as LocalStore)) // both were asked for above
  return {
    names: spec.names,
    lookup(inputs, nowUs) {
      const answer: LookedUp = {
        values: new Float64Array(spec.names.length).fill(Number.NaN),
        statuses: new Array<FeatureStatus>(spec.names.length).fill('NOT_FOUND'),
      }
      const now = Number(nowUs)
      for (const read of views) read(inputs, now, answer)
      return answer
    },
  }
}

/** A row of the store, or of a history. */
type FoundRow = Pick<RowReader, 'eventUs' | 'isDeleted' | 'isNull' | 'value'>

type LocalStore = Required<Pick<OnlineStore, 'readNow' | 'generationNow'>>

function compileView(view: ViewSpec, store: LocalStore) {
  const types = view.keys.map(({ type }) => type)
  const row = createRowReader()
  const history = createHistoryReader()
  const window = createWindowReader()
  const passes = passesOf(view)
  const totals: WindowTotals = { count: 0, sum: 0, shift: 0, mean: 0, m2: 0, min: 0, max: 0 }

  const answerRow = (found: FoundRow, now: number, { values, statuses }: LookedUp) => {
    if (found.isDeleted) return
    const isTooOld = view.ttlUs !== null && now - found.eventUs > view.ttlUs
    for (const { at, slot } of view.columns) {
      if (isTooOld) statuses[at] = 'OUTSIDE_MAX_AGE'
      else if (found.isNull(slot)) statuses[at] = 'NULL_VALUE'
      else {
        statuses[at] = 'PRESENT'
        values[at] = found.value(slot)
      }
    }
  }

  /** The newest row is not known yet at this instant: what was known then is kept beside it, as far back as the slack. */
  const readHistory = ({ key, full }: EncodedKey, now: number, answer: LookedUp) => {
    const bytes = store.readNow(historyKey(key))
    if (!bytes || !history.open(bytes, full, now)) for (const { at } of view.columns) answer.statuses[at] = 'INVALID'
    else if (history.isFound) answerRow(history, now, answer)
  }

  const readRow = (keys: readonly KeyValue[], now: number, answer: LookedUp) => {
    const encoded = encodeKey(rowSection(view.generation), types, keys)
    const bytes = encoded && store.readNow(encoded.key)
    if (!bytes || !row.open(bytes, encoded.full)) return
    if (row.knownUs > now) readHistory(encoded, now, answer)
    else answerRow(row, now, answer)
  }

  /**
   * The store knows everything up to its watermark. A window that reaches beyond ends there instead, so that it is whole,
   * as long as that is not further back than its tolerance: silence after the watermark is not the same as nothing happening.
   */
  const readWindows = (keys: readonly KeyValue[], now: number, { values, statuses }: LookedUp) => {
    const section = windowSection(view.generation)
    const encoded = encodeKey(section, types, keys)
    if (!encoded) return
    const bytes = store.readNow(encoded.key)
    const isFound = bytes !== undefined && window.open(bytes, encoded.full)
    const isWhole = isFound && window.untilUs >= now
    const watermark = isWhole ? now : store.generationNow(section)?.watermark
    if (watermark === undefined) return
    const knownUs = Math.min(now, isFound ? Math.max(watermark, window.untilUs) : watermark)
    for (const pass of passes) {
      const isTooOld = now - knownUs > pass.toleranceUs
      if (isTooOld) for (const { at } of pass.features) statuses[at] = 'OUTSIDE_MAX_AGE'
      else if (isFound) readPass(pass, knownUs, values, statuses)
      // An entity without events has counted none: the same as offline.
      else for (const { at, function: name } of pass.features) if (name === 'count') values[at] = 0
    }
  }

  const readPass = (pass: Pass, knownUs: number, values: Float64Array, statuses: FeatureStatus[]) => {
    const isCut = knownUs - pass.windowUs < window.fromUs
    const first = window.after(knownUs - pass.windowUs)
    const end = window.after(knownUs)
    if (pass.column < 0) totals.count = end - first
    else if (pass.needsSpread) window.total(pass.column, first, end, totals)
    else window.sum(pass.column, first, end, totals)
    for (const { at, function: name } of pass.features) {
      statuses[at] = isCut ? 'INVALID' : isNullAggregate(name, totals.count) ? 'NULL_VALUE' : 'PRESENT'
      if (!isCut) values[at] = aggregateOf(name, totals)
    }
  }

  return (inputs: Readonly<Record<string, unknown>>, now: number, answer: LookedUp): void => {
    const keys = view.keys.map(({ input }) => inputs[input] as KeyValue) // encodeKey refuses whatever does not fit
    if (view.columns.length > 0) readRow(keys, now, answer)
    if (view.windows.length > 0) readWindows(keys, now, answer)
  }
}
