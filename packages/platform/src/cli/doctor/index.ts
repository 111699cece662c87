import { type Config, loadConfig, readEnvironment } from '../../kernel/config/index.ts'
import { isPlimsollError } from '../../kernel/errors.ts'
import type { SharedOptions } from '../connection.ts'
import type { Finding } from './finding.ts'
import { accessFindings, durabilityFindings, hostFindings, serverFindings } from './host.ts'
import { isolationFindings } from './isolation.ts'
import { askRunning } from './running.ts'
import { storageFindings } from './storage.ts'
import { libraryFindings, toolFindings } from './tools.ts'

export type { Finding } from './finding.ts'

/** The settings that a start would get; where they are faulty, a finding that names every fault, and the defaults. */
async function configOf(dataDir: string | undefined): Promise<{ config: Config; faults: Finding[] }> {
  const flags = dataDir === undefined ? {} : { dataDir }
  try {
    return { config: (await loadConfig({ flags, env: readEnvironment() })).config, faults: [] }
  } catch (thrown) {
    if (!isPlimsollError(thrown)) throw thrown
    const faults: Finding[] = [
      {
        group: 'storage',
        name: 'settings',
        state: 'problem',
        found: thrown.message,
        cost: (thrown.details.faults ?? []).map((fault) => `${fault.pointer} ${fault.detail}`).join('; '),
      },
    ]
    return { config: (await loadConfig({ flags, file: '/dev/null' })).config, faults }
  }
}

/** Everything that doctor looks at, in the order in which it is told. */
export async function findings(options: SharedOptions): Promise<Finding[]> {
  const { config, faults } = await configOf(options.dataDir)
  const [tools, host, running, libraries, storage] = await Promise.all([
    toolFindings(),
    hostFindings(config),
    askRunning(options, config),
    libraryFindings(),
    faults.length > 0 ? faults : storageFindings(config),
  ])
  return [
    ...tools,
    ...host,
    ...running.findings,
    ...libraries,
    ...serverFindings(),
    ...storage,
    ...accessFindings(config, running.asksForToken),
    ...isolationFindings(),
    ...durabilityFindings(config),
  ]
}
