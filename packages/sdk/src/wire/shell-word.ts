/** A text as one word of a POSIX shell, in a command that we print. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** What `shellWord` writes, as part of a pattern. */
export const SHELL_WORD = String.raw`(?:[\w@%+=:,./-]|'[^']*'|\\')+`
