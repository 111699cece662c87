import { SECRET_BYTES_MAX, SECRET_NAME, type SecretProvider, secretVariable } from '@plimsoll/sdk/seams'
import { PlimsollError } from '../../kernel/errors.ts'

/** The one project whose secrets an environment holds: it says no project, and who set it is the operator of the process. */
const PROJECT = 'default'

/** Secrets of the project `default` that are variables of this process. */
export function openEnvironmentSecrets(environment: Readonly<Record<string, string | undefined>>): SecretProvider {
  return {
    name: 'environment',
    async read({ project, name }) {
      if (project !== PROJECT || !SECRET_NAME.test(name)) return undefined
      const variable = secretVariable(name)
      const value = environment[variable]?.replace(/\r?\n$/, '')
      if (value !== undefined && Buffer.byteLength(value) > SECRET_BYTES_MAX)
        throw new PlimsollError(
          'precondition',
          'secrets.too_large',
          `Cannot read secret ${name}: ${variable} holds more than ${SECRET_BYTES_MAX} bytes`,
          { action: 'Keep large values elsewhere, and a key to them here' },
        )
      return value === '' ? undefined : value // so a compose file passes on what is not set
    },
  }
}
