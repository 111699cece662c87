const DISTANCE_MAX = 3

/** Edits that turn one word into another: letters put in, left out, exchanged, or two neighbours swapped. */
export function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        next[j] = Math.min(next[j]!, before[j - 2]! + 1)
    }
    before = row
    row = next
  }
  return row[b.length]!
}

/** The known name that a word most likely meant, if one is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const most = Math.min(DISTANCE_MAX, Math.max(1, Math.floor(word.length / 3)))
  let best: { name: string; distance: number } | undefined
  for (const name of known) {
    const distance = editDistance(word.toLowerCase(), name.toLowerCase())
    if (distance <= most && distance < word.length && (best === undefined || distance < best.distance))
      best = { name, distance }
  }
  return best?.name
}
