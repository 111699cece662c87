import { levelOf, loadOf, MARK_AT } from '../format/load.ts'

const WORDS = { below: 'below the line', near: 'at the line', over: 'over the line' } as const

/** A level against its mark. Without a measurement the mark stands alone, and the text says so. */
export function LoadLine({
  label,
  value,
  mark,
  none = 'nothing measured',
  format,
}: {
  label: string
  value: number | null
  mark: number
  /** What is said where nothing was measured. */
  none?: string
  format: (value: number) => string
}) {
  const load = value === null ? 'below' : loadOf(value, mark)
  const text =
    value === null ? `${none}, line at ${format(mark)}` : `${format(value)} of ${format(mark)}, ${WORDS[load]}`
  return (
    <div className="load" data-load={load}>
      <div className="row between soft">
        <span>{label}</span>
        <span className="value">{text}</span>
      </div>
      <svg viewBox="0 0 100 18" preserveAspectRatio="none" role="img" aria-label={`${label}: ${text}`}>
        <rect className="track" x="0" y="5" width="100" height="8" rx="1" />
        {value !== null && <rect className="level" x="0" y="5" width={100 * levelOf(value, mark)} height="8" rx="1" />}
        <line className="mark" x1={100 * MARK_AT} x2={100 * MARK_AT} y1="0" y2="18" vectorEffect="non-scaling-stroke" />
      </svg>
    </div>
  )
}
