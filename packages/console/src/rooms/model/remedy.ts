/** What fills a gap: what to do by hand, and what can be run as it stands. */
export interface Remedy {
  readonly advice: string | undefined
  readonly command: string | undefined
}

const THEN = ', then '
const RUNNABLE = /^(?:plimsoll|git|npm|uv|mlflow) /

/** Tells what is to be run from what is to be read, in the server's words: `do this, then plimsoll apply`. */
export function remedyOf(text: string): Remedy {
  const at = text.lastIndexOf(THEN)
  const last = at < 0 ? text : text.slice(at + THEN.length)
  if (!RUNNABLE.test(last)) return { advice: sentence(text), command: undefined }
  return { advice: at < 0 ? undefined : `${sentence(text.slice(0, at))}, then:`, command: last }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
