import { RUN_START } from '../../format/in-project.ts'

/** What fills a gap: what to do by hand, and what can be run as it stands. */
export interface Remedy {
  readonly advice: string | undefined
  readonly command: string | undefined
}

/** All that the server ever says behind `, then `: what stands before it may hold the name that somebody gave a model. */
const THEN = new RegExp(`^(.*), then (plimsoll apply(?: && ${RUN_START})?)$`, 's')

/** Tells what is to be run from what is to be read, in the server's words: `do this, then plimsoll apply`. */
export function remedyOf(text: string): Remedy {
  if (text.startsWith('plimsoll ')) return { advice: undefined, command: text }
  const [, before, command] = THEN.exec(text) ?? []
  if (before === undefined) return { advice: sentence(text), command: undefined }
  return { advice: `${sentence(before)}, then:`, command }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
