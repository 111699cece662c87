import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Files that take half a minute and more, longest first: begun last, each would keep the other cores waiting. Vitest knows
 * only how long a file took here before, and without that how large it is.
 */
const LONGEST = [
  'tests/crash/crash.test.ts',
  'packages/platform/src/processes/up.test.ts',
  'tests/package/pack.test.ts',
  'packages/platform/src/cli/cli-server.test.ts',
  'tests/bench.test.ts',
  'tests/browser/console.test.ts',
  'tests/demo/demo.test.ts',
  'packages/platform/src/kernel/blob/crash.test.ts',
  'packages/platform/src/features/point-in-time.property.test.ts',
  'packages/platform/src/inference/pool.test.ts',
  'packages/platform/src/kernel/db/migrate.test.ts',
  'tests/hostile/hostile.test.ts',
  'tests/hostile/project.test.ts',
  'packages/platform/src/adapters/s3/blob-store.test.ts',
  'packages/platform/src/adapters/s3/moto.test.ts',
  'packages/platform/src/registry/mlflow-client.test.ts',
  'packages/platform/src/pipelines/run-store.test.ts',
  'packages/platform/src/datasets/profile.test.ts',
  'packages/platform/src/processes/control-plane-s3.test.ts',
  'packages/platform/src/processes/control-plane-postgres.test.ts',
  'packages/platform/src/cli/cli.test.ts',
  'tests/demo/stays-up.test.ts',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const long = LONGEST.flatMap((path) => sorted.filter((file) => file.moduleId.endsWith(`/${path}`)))
    return [...long, ...sorted.filter((file) => !long.includes(file))]
  }
}

export default defineConfig({
  test: {
    include: ['packages/**/*.test.ts', 'packages/**/*.test.tsx', 'tests/**/*.test.ts', 'examples/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    // The embedded database of a test lives for seconds: to compile its code for speed took a third of all processor time.
    // Young objects get 64 MiB: with Node's 16, a fifth of the processor time went into copying what still lived.
    execArgv: ['--liftoff-only', '--max-semi-space-size=64'],
    // Files of one process share its modules and the compiled code of the database: a sixth of all processor time less.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    // One more than the cores of a small machine: tests that kill and restart processes wait a good part of their time.
    maxWorkers: 3,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What comes about in the background does so late on a busy machine.
    expect: { poll: { timeout: 30_000 } },
    coverage: { provider: 'v8', include: ['packages/*/src/**/*.ts'], exclude: ['**/*.test.ts', '**/*.contract.ts', '**/*.fixture.ts'] },
  },
})
