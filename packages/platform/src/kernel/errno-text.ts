import { getSystemErrorMessage } from 'node:util'

/** What the system said, in words and with its code: `no such file or directory (ENOENT)`. */
export function errnoText(thrown: unknown): string {
  const { errors, ...error } = thrown as AggregateError & NodeJS.ErrnoException // of node, or an error like any other
  const { errno, code } = errors?.[0] === undefined ? error : (errors[0] as NodeJS.ErrnoException) // one per address of a host
  const words = errno === undefined ? (thrown as Error).message : getSystemErrorMessage(errno)
  return code === undefined ? words : `${words} (${code})`
}
