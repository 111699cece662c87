import type { SecretProvider, SecretReference } from '@plimsoll/sdk/seams'

export interface FoundSecret {
  readonly value: string
  /** Name of the provider that has it. */
  readonly from: string
}

/** Secrets of this installation, whoever keeps them. */
export interface Secrets {
  /** Of the first provider that has one of that name, as it is now: nothing of it stays here. */
  find(secret: SecretReference): Promise<FoundSecret | undefined>
  /** How an operator sets one that is not there, as one sentence. */
  howToSet(secret: SecretReference): string
}

/** The providers are asked in this order. Where they cannot be opened, the next call tries again. */
export function openSecrets(
  providers: () => Promise<readonly SecretProvider[]>,
  howToSet: (secret: SecretReference) => string,
): Secrets {
  let opened: Promise<readonly SecretProvider[]> | undefined
  const open = () => {
    opened ??= providers().catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }
  return {
    async find(secret) {
      for (const provider of await open()) {
        const value = await provider.read(secret)
        if (value !== undefined) return { value, from: provider.name }
      }
      return undefined
    },
    howToSet,
  }
}
