import { useQuery } from '@tanstack/react-query'
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react'
import { healthQuery } from '../api/queries.ts'
import { replayTime } from '../format/time.ts'

const TICK_MS = 5_000

export interface Now {
  readonly nowMs: number
  /** This machine's own time, which a replay clock is not. */
  readonly realMs: number
  /** Rate of the replay clock, null when the server runs on real time. */
  readonly replayRate: number | null
}

const NowContext = createContext<Now>({ nowMs: 0, realMs: 0, replayRate: null })

export function useNow(): Now {
  return useContext(NowContext)
}

/**
 * What the time is by the clock that wrote `atMs`: under a replay, what people and processes did has real times, and what
 * was predicted has the replay's.
 */
export function nowBeside({ nowMs, realMs, replayRate }: Now, atMs: number): number {
  return replayRate !== null && Math.abs(atMs - realMs) < Math.abs(atMs - nowMs) ? realMs : nowMs
}

/** The server's time, carried forward between its answers: this machine's clock may be wrong, and a replay has its own. */
export function NowProvider({ children }: { children: ReactNode }) {
  const { data, dataUpdatedAt } = useQuery(healthQuery)
  const [tickMs, setTickMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setTickMs(Date.now()), TICK_MS)
    return () => clearInterval(timer)
  }, [])
  const nowMs =
    data === undefined
      ? tickMs
      : replayTime(Date.parse(data.time), data.replay_rate, Math.max(0, tickMs - dataUpdatedAt))
  return <NowContext value={{ nowMs, realMs: tickMs, replayRate: data?.replay_rate ?? null }}>{children}</NowContext>
}
