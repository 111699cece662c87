import { join } from 'node:path'
import { secretVariable } from '@plimsoll/sdk/seams'
import { readEnvironment } from '../kernel/config/index.ts'
import { openSecrets, type Secrets } from '../kernel/secrets.ts'
import { shellWord } from '../kernel/shell-word.ts'

/** Secrets of an installation: variables of this process, then files below `directory`. */
export function openInstallationSecrets(directory: string): Secrets {
  return openSecrets(
    async () => {
      const { openEnvironmentSecrets } = await import('../adapters/secret-environment/secret-provider.ts')
      const { openFileSecrets } = await import('../adapters/secret-files/secret-provider.ts')
      return [openEnvironmentSecrets(readEnvironment()), openFileSecrets(directory)]
    },
    ({ project, name }) => {
      const file = `Write the value to ${shellWord(join(directory, project, name))}, with mode 600`
      const variable = secretVariable(name)
      return project === 'default'
        ? `${file}, or start the platform with ${variable}`
        : `${file} (${variable} would be one of project default)`
    },
  )
}
