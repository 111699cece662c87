// How much the whole demo may take. Both are told; memory is held to it where the demo is proved, time nowhere: machines differ.
export const SECONDS_MARK = 240
export const PEAK_BYTES_MARK = 3e9

/** What it usually takes: the READMEs say the same. */
export const USUAL = 'two to four minutes on two cores, downloads included, and 2 to 2.8 GiB of memory'

/** Such as `2 min 13 s`. */
function minutes(seconds) {
  const [min, s] = [Math.floor(Math.round(seconds) / 60), Math.round(seconds) % 60]
  return [min > 0 ? `${min} min` : '', s > 0 || min === 0 ? `${s} s` : ''].filter(Boolean).join(' ')
}

export const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`

/** A figure beside its mark. */
export function tellMarks({ seconds, peakBytes }) {
  const time = `${minutes(seconds)} of ${minutes(SECONDS_MARK)}, downloads included; the exit status leaves it out, as machines differ`
  const memory = `${gib(peakBytes)} of ${gib(PEAK_BYTES_MARK)} at most, all processes together`
  return { time, memory: peakBytes > 0 ? memory : 'not measured here' }
}
