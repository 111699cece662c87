// Commands to end with, for a shell.
const ROW = { hour: 17, day_of_week: 5, distance: 900, origin: 'JFK', destination: 'ORD' }

/** Pairs of what a command is for and a command that works whenever it is run. */
export function closingLines(dataDir, prediction) {
  const place = /^[\w@%+=:,./-]+$/.test(dataDir) ? dataDir : `'${dataDir.replaceAll("'", "'\\''")}'`
  const plimsoll = (command) => `npx plimsoll ${command} --data-dir ${place}`
  return [
    ['Predict', plimsoll(`predict flight-delay '${JSON.stringify(ROW)}'`)],
    [
      'After some minutes what is online has aged, an hour of the replay a second: fill it anew, then predict again',
      plimsoll('run start refresh'),
    ],
    ['Explain', plimsoll(`explain ${prediction}`)],
  ]
}
