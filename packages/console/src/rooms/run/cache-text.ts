import type { CacheVerdict } from '@plimsoll/sdk/wire'

const MISSES: Record<CacheVerdict['reason'], string> = {
  hit: 'taken from the cache',
  'first-run': 'nothing cached before',
  'code-changed': 'code changed',
  'param-changed': 'a param changed',
  'input-changed': 'an input changed',
  'env-changed': 'environment changed',
  'kind-changed': 'kind changed',
  'outputs-missing': 'cached outputs are gone',
  'result-gone': 'what it had made is gone, or was judged anew',
  tainted: 'cached result is tainted',
  forced: 'forced',
  disabled: 'it was not looked up',
}

/** Whose result a step took from the cache; or why it had to run: the first cause, and its name when there is one. */
export function cacheText(cache: CacheVerdict): string {
  return cache.hit ? causeText(cache) : `cache miss: ${causeText(cache)}`
}

/** The same where there is little room. */
export function causeText(cache: CacheVerdict): string {
  if (cache.hit) return cache.source === null ? MISSES.hit : `same as ${cache.source.run}`
  const name = cache.diff[0]?.name
  const isNamed = name !== undefined && ['param-changed', 'input-changed'].includes(cache.reason)
  return `${MISSES[cache.reason]}${isNamed ? ` (${name})` : ''}`
}
