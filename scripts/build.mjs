// Builds the console into packages/console/dist, from where the control plane serves it.
import { spawnSync } from 'node:child_process'

const { status } = spawnSync(
  process.execPath,
  [
    'scripts/with-node.mjs',
    'node_modules/vite/bin/vite.js',
    'build',
    'packages/console',
    '--config',
    'packages/console/vite.config.ts',
    '--logLevel',
    'warn',
  ],
  { stdio: 'inherit' },
)
process.exit(status ?? 1)
