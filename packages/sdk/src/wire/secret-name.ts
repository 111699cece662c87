/** Name of a secret: a lower-case letter, then letters, digits or -, at most 63 characters. */
export const SECRET_NAME: RegExp = /^[a-z][a-z0-9-]{0,62}$/

/** Name of a project, as a provider may make a place of it. */
export const SECRET_PROJECT: RegExp = /^[a-z][a-z0-9_-]{0,62}$/

/** Most bytes of a value, as UTF-8. */
export const SECRET_BYTES_MAX = 65_536

/** The variable of the platform's environment that holds a secret: of names without `_` each has its own. */
export function secretVariable(name: string): string {
  return `PLIMSOLL_SECRET_${name.replaceAll('-', '_').toUpperCase()}`
}
