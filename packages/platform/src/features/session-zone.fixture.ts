import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { joinView, viewOf, writeHistory } from './point-in-time.fixture.ts'

/** Run by itself in a process with a zone of its own, it joins across a change of that zone's clocks and prints what it found. */
if (import.meta.main) {
  const folder = process.argv[2]!
  const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: 1 })
  const micros = (time: string) => Date.parse(time) * 1_000
  const keys = ['a', 'z']
  const ttlUs = 24 * 3_600_000_000
  const view = viewOf({ x: { from: 'column', column: 'x', type: 'float64' } }, { ttlUs })
  const ev = micros('2024-03-10T05:00:00Z')
  const history = await writeHistory(engine, `${folder}/zone`, [{ keys, ev, cr: ev, seq: 1, values: { x: 1 } }])
  const found = await joinView(engine, `${folder}/zone`, view, history, [
    { keys, t: ev + ttlUs },
    { keys, t: ev + ttlUs + 1 },
  ])
  const session = await engine.rows({ sql: `SELECT current_setting('TimeZone')`, inputs: {} })
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  process.stdout.write(JSON.stringify({ process: zone, session: session.rows[0]![0], found: found.map(({ x }) => x) }))
  await engine.close()
}
