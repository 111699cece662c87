import type { SecretProvider, SecretReference } from '@plimsoll/sdk/seams'

/** Secrets of this installation, whoever keeps them. */
export interface Secrets {
  /** The value of the first provider that has one of that name, as it is now: nothing of it stays here. */
  find(secret: SecretReference): Promise<string | undefined>
  /** How an operator sets one that is not there, as one sentence. */
  howToSet(secret: SecretReference): string
}

/** The providers are asked in this order. */
export function openSecrets(
  providers: () => Promise<readonly SecretProvider[]>,
  howToSet: (secret: SecretReference) => string,
): Secrets {
  let opened: Promise<readonly SecretProvider[]> | undefined
  return {
    async find(secret) {
      opened ??= providers()
      for (const provider of await opened) {
        const value = await provider.read(secret)
        if (value !== undefined) return value
      }
      return undefined
    },
    howToSet,
  }
}
