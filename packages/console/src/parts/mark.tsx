/** The Plimsoll disc: a circle cut by its line, load lines beside it. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 32 32"
      fill="none"
      stroke="currentColor"
      strokeWidth="2.5"
      strokeLinecap="round"
      aria-hidden="true"
    >
      <circle cx="12" cy="16" r="8" />
      <path d="M1.5 16h21" stroke="var(--signal-fill)" />
      <path d="M26 7v18M26 7h4M26 13h4M26 19h4M26 25h4" strokeWidth="2" />
    </svg>
  )
}
