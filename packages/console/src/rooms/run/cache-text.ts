import type { CacheVerdict } from '@plimsoll/sdk/wire'

const MISSES: Record<CacheVerdict['reason'], string> = {
  hit: 'taken from the cache',
  'first-run': 'nothing of this step',
  'code-changed': 'code changed',
  'param-changed': 'a param changed',
  'input-changed': 'an input changed',
  'env-changed': 'environment changed',
  'kind-changed': 'kind changed',
  'outputs-missing': 'cached outputs are gone',
  'result-gone': 'what it had made is gone or was changed',
  tainted: 'cached result is tainted',
  forced: 'forced',
  disabled: 'cache is off',
}

/** Why a step was taken from the cache, or had to run: the first cause, and its name when there is one. */
export function cacheText(cache: CacheVerdict): string {
  const name = cache.diff[0]?.name
  const isNamed = name !== undefined && ['param-changed', 'input-changed'].includes(cache.reason)
  return `${cache.hit ? 'cache hit' : 'cache miss'}: ${MISSES[cache.reason]}${isNamed ? ` (${name})` : ''}`
}
