import { useState } from 'react'
import { PROJECT } from '../api/session.ts'
import { plainText, shortDigest } from '../format/amount.ts'
import { inProject } from '../format/in-project.ts'
import { formatAbsolute, formatDuration, formatRelative } from '../format/time.ts'
import { nowBeside, useNow } from '../shell/now.tsx'

const COPIED_MS = 1_500

/** Text from outside on one line; the whole of it on hover. */
export function Clip({ text, className = '' }: { text: string; className?: string }) {
  const clean = plainText(text, 2_000)
  return (
    <span className={`clip ${className}`} title={clean}>
      {clean}
    </span>
  )
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [isCopied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard?.writeText(text)
    setCopied(true)
    setTimeout(() => setCopied(false), COPIED_MS)
  }
  return (
    <button
      type="button"
      className="copy"
      aria-label={isCopied ? `Copied ${what}` : `Copy ${what}`}
      title={`Copy ${what}`}
      onClick={() => void copy()}
    >
      <svg
        width="14"
        height="14"
        viewBox="0 0 16 16"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.5"
        aria-hidden="true"
      >
        {isCopied ? <path d="M3 8.5l3.5 3.5L13 4.5" /> : <path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" />}
      </svg>
    </button>
  )
}

export function Digest({ digest, what = 'digest' }: { digest: string | null; what?: string }) {
  if (digest === null) return <span className="soft">none</span>
  return (
    <span className="digest">
      <code className="mono" title={digest}>
        {shortDigest(digest)}
      </code>
      <Copy text={digest} what={what} />
    </span>
  )
}

/** `3 min ago`, the exact time on hover and for machines. */
export function When({ at }: { at: string | null }) {
  const now = useNow()
  if (at === null) return <span className="soft">–</span>
  const ms = Date.parse(at)
  return (
    <time dateTime={at} title={formatAbsolute(ms)}>
      {formatRelative(ms, nowBeside(now, ms))}
    </time>
  )
}

/** How long something took, or takes so far; nothing for what has not started. */
export function Took({ from, to }: { from: string | null; to: string | null }) {
  const now = useNow()
  if (from === null) return '–'
  const ms = Date.parse(from)
  return formatDuration((to === null ? nowBeside(now, ms) : Date.parse(to)) - ms)
}

/** What is to be run, in the project that is shown. */
export function Command({ text }: { text: string }) {
  const whole = inProject(text, PROJECT)
  return (
    <div className="command">
      <code>{whole}</code>
      <Copy text={whole} what="command" />
    </div>
  )
}
