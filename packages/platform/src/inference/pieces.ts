import { cutRows, joinRows, type Piece } from './batch.ts'
import type { PoolResult } from './pool-stats.ts'

/**
 * Runs a request of more rows than one batch takes in pieces, and answers as if it had been one. The first fault is the
 * request's: what waits of it leaves the queue.
 */
export async function inferInPieces(
  whole: Piece & { readonly rowsMax: number; readonly signal: (() => AbortSignal) | undefined },
  infer: (piece: Piece, signal: () => AbortSignal) => Promise<PoolResult>,
): Promise<PoolResult> {
  const { rowsMax, signal } = whole
  const pieces = cutRows(whole, rowsMax)
  const stop = new AbortController()
  // The caller's is asked for at most once, and only when a piece has to wait.
  let known: AbortSignal | undefined
  const either = () => (known ??= signal ? AbortSignal.any([stop.signal, signal()]) : stop.signal)
  try {
    const results = await Promise.all(pieces.map((piece) => infer(piece, either)))
    return {
      outputs: joinRows(
        pieces,
        results.map((result) => result.outputs),
      ),
      queueUs: Math.min(...results.map((result) => result.queueUs)),
      inferUs: results.reduce((sum, result) => sum + result.inferUs, 0),
      batchRows: Math.max(...results.map((result) => result.batchRows)),
    }
  } catch (thrown) {
    stop.abort(thrown)
    throw thrown
  }
}
