import { useState } from 'react'
import { plainText, shortDigest } from '../format/amount.ts'
import { formatAbsolute, formatRelative } from '../format/time.ts'
import { useNow } from '../shell/now.tsx'

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
  // Under a replay clock, what people and processes did has real times, and what was predicted has the replay's.
  const isReal = now.replayRate !== null && Math.abs(ms - now.realMs) < Math.abs(ms - now.nowMs)
  return (
    <time dateTime={at} title={formatAbsolute(ms)}>
      {formatRelative(ms, isReal ? now.realMs : now.nowMs)}
    </time>
  )
}

export function Command({ text }: { text: string }) {
  return (
    <div className="command">
      <code>{text}</code>
      <Copy text={text} what="command" />
    </div>
  )
}
