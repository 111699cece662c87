import { ClientError } from '@plimsoll/sdk/client'
import { notifyManager, type Query, QueryCache, useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useSyncExternalStore } from 'react'

const RETRY_MS = 5_000
const OF_SERVER = new Set([401, 500, 502, 503, 504])

/** By query; a query forgets its error as soon as it is asked again. */
const errors = new WeakMap<Query, Error>()

/** True for what concerns the server and not one thing on it: told once above the room, never by each part of it. */
export function isOfServer(error: Error): boolean {
  return error instanceof ClientError && OF_SERVER.has(error.status) && error.code !== 'client.bad_answer'
}

/** The cache of answers, which remembers what did not answer. */
export function openAnswers(): QueryCache {
  return new QueryCache({
    onError: (error, query) => void errors.set(query as Query, error), // the key's type does not matter here
    onSuccess: (_data, query) => void errors.delete(query as Query),
  })
}

function troubled(cache: QueryCache): Query[] {
  return cache.getAll().filter((query) => {
    const error = errors.get(query)
    return error !== undefined && isOfServer(error) && query.isActive()
  })
}

export interface Trouble {
  readonly error: ClientError
  /** Of what is shown and could not be renewed, the time of the oldest by this machine's clock; undefined when there is none. */
  readonly oldestMs: number | undefined
  readonly retry: () => void
}

/** What is wrong with the server, as far as this page needs it; asked again every few seconds, but for a missing log-in. */
export function useTrouble(): Trouble | undefined {
  const queries = useQueryClient()
  const cache = queries.getQueryCache()
  const subscribe = useCallback((changed: () => void) => cache.subscribe(notifyManager.batchCalls(changed)), [cache])
  const error = useSyncExternalStore(subscribe, () => {
    const all = troubled(cache).map((query) => errors.get(query) as ClientError) // only those count as the server's
    return all.find(({ status }) => status === 401) ?? all[0]
  })
  const retry = useCallback(() => {
    const hashes = new Set(troubled(cache).map((query) => query.queryHash))
    void queries.refetchQueries({ predicate: (query) => hashes.has(query.queryHash) })
  }, [queries, cache])
  const isRetried = error !== undefined && error.status !== 401
  useEffect(() => {
    if (!isRetried) return
    const timer = setInterval(retry, RETRY_MS)
    return () => clearInterval(timer)
  }, [isRetried, retry])
  if (error === undefined) return undefined
  const times = troubled(cache).map((query) => query.state.dataUpdatedAt)
  const oldestMs = times.filter((ms) => ms > 0).reduce<number | undefined>((a, b) => Math.min(a ?? b, b), undefined)
  return { error, oldestMs, retry }
}
