/** Kinds of steps that run the user's own code, which writes what it likes. */
export const PROCESS_KINDS = ['command', 'python', 'typescript'] as const
/** One of `PROCESS_KINDS`. */
export type ProcessKind = (typeof PROCESS_KINDS)[number]

/** Whether steps of a kind run the user's own code. */
export function isProcessKind(kind: string): kind is ProcessKind {
  return (PROCESS_KINDS as readonly string[]).includes(kind)
}

/** What a step that runs the user's code says of itself, among the params of its definition; the others are the user's. */
export const PROCESS_SETTINGS: Readonly<Record<ProcessKind, readonly string[]>> = {
  command: ['argv'],
  python: ['script', 'files', 'lock', 'args'],
  typescript: ['script', 'args'],
}

/** The params of a step without what it says of itself: those that its program is given. */
export function ownParamsOf<Value>(kind: string, params: Readonly<Record<string, Value>>): Record<string, Value> {
  const settings = isProcessKind(kind) ? PROCESS_SETTINGS[kind] : []
  return Object.fromEntries(Object.entries(params).filter(([name]) => !settings.includes(name)))
}
