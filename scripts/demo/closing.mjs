// Commands to end with, for a shell.
const DAY_MS = 86_400_000
const ROW = { hour: 17, day_of_week: 5, distance: 900, origin: 'JFK', destination: 'ORD' }

/**
 * Pairs of a name and a command that works at once. The clock of the replay runs on, so that minutes later what is online
 * has aged: the second brings it up to `aheadDays` after that clock, whenever it is run. `health` is told at `nowMs`.
 */
export function closingLines(dataDir, prediction, { time, replay_rate: rate }, aheadDays, nowMs = Date.now()) {
  const place = /^[\w@%+=:,./-]+$/.test(dataDir) ? dataDir : `'${dataDir.replaceAll("'", "'\\''")}'`
  const plimsoll = (command) => `npx plimsoll ${command} --data-dir ${place}`
  // Seconds of the replay are those of the machine's clock, times the rate, and so many.
  const offset = Math.round((Date.parse(time) + aheadDays * DAY_MS - nowMs * rate) / 1_000)
  const until = `$(date -u -d @$(( $(date +%s) * ${rate} + (${offset}) )) +%FT%TZ)`
  return [
    ['Predict', plimsoll(`predict flight-delay '${JSON.stringify(ROW)}'`)],
    ['Minutes later, first', plimsoll(`run start refresh --param until=${until}`)],
    ['Explain', plimsoll(`explain ${prediction}`)],
  ]
}
