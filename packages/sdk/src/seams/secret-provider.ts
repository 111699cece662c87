/** Names a secret. Any text may come; whoever reads answers what is no such name with nothing. */
export interface SecretReference {
  readonly project: string
  readonly name: string
}

/** Where values of secrets come from. They are read when they are needed, never kept, and never part of an error. */
export interface SecretProvider {
  /** Says in an error where a value came from. */
  readonly name: string
  /**
   * The value as it is now: text of at most `SECRET_BYTES_MAX` bytes, one newline at its end cut off. Undefined: it has none
   * of that name, or an empty one, and the next provider is asked. What is there and cannot be read, or may be read by others, is an error that
   * names the place and what to do.
   */
  read(secret: SecretReference): Promise<string | undefined>
}
