// How much the whole demo may take. Both are told; memory is held to it where the demo is proved, time nowhere: machines differ.
export const SECONDS_MARK = 240
export const PEAK_BYTES_MARK = 3e9

/** A figure beside its mark. */
export function tellMarks({ seconds, peakBytes }) {
  const time = `${Math.round(seconds)} s of ${SECONDS_MARK} s, downloads included; the exit status leaves it out, as machines differ`
  const memory = `${(peakBytes / 1e9).toFixed(1)} GB of ${PEAK_BYTES_MARK / 1e9} GB at most, all processes together`
  return { time, memory: peakBytes > 0 ? memory : 'not measured here' }
}
