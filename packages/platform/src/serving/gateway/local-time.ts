const CACHE_MAX = 1_000
const SPAN_MS = 900_000
const formats = new Map<string, Intl.DateTimeFormat>()
const offsets = new Map<string, number>()

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    if (formats.size >= CACHE_MAX) formats.clear()
    formats.set(zone, format)
  }
  return format
}

/** Offset of a zone from UTC at an instant, in milliseconds. Zones change their offset on quarter hours only, so spans of that length are cached. */
function offsetMs(zone: string, atMs: number): number {
  const span = Math.floor(atMs / SPAN_MS)
  const key = `${zone}\0${span}`
  const known = offsets.get(key)
  if (known !== undefined) return known
  const start = span * SPAN_MS
  const parts = Object.fromEntries(
    formatOf(zone)
      .formatToParts(start)
      .map((part) => [part.type, Number(part.value)]),
  )
  const local = Date.UTC(
    parts['year']!,
    parts['month']! - 1,
    parts['day'],
    parts['hour'],
    parts['minute'],
    parts['second'],
  )
  if (offsets.size >= CACHE_MAX * 10) offsets.clear()
  offsets.set(key, local - start)
  return local - start
}

export type TimePart = 'hour' | 'day-of-week' | 'minute-of-day'

/** One part of the local time in an IANA zone. Monday is 1, Sunday is 7. @throws RangeError for an unknown zone */
export function localTimePart(atMs: number, zone: string, part: TimePart): number {
  const local = atMs + offsetMs(zone, atMs)
  const minute = Math.floor(local / 60_000)
  const minuteOfDay = ((minute % 1_440) + 1_440) % 1_440
  if (part === 'minute-of-day') return minuteOfDay
  if (part === 'hour') return Math.floor(minuteOfDay / 60)
  const day = Math.floor(minute / 1_440)
  return ((((day + 3) % 7) + 7) % 7) + 1
}
