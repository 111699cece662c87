const NAME_CHARS_MAX = 120

/** What a prediction that failed is counted under: its status and code, or how the connection broke. */
export function failureName(failure: { status: number; text: string } | Error): string {
  if (failure instanceof Error) {
    const { code } = failure as NodeJS.ErrnoException
    return `no answer, ${code ?? failure.message}`.slice(0, NAME_CHARS_MAX)
  }
  let code: unknown
  try {
    code = (JSON.parse(failure.text) as { code?: unknown } | null)?.code
  } catch {
    // an answer that is no JSON has no code
  }
  return `${failure.status}${typeof code === 'string' ? ` ${code}` : ''}`.slice(0, NAME_CHARS_MAX)
}
