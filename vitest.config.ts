import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The crash test takes as long as a quarter of the others together: begun last, it would keep one core waiting. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = (file: TestSpecification) => file.moduleId.endsWith('tests/crash/crash.test.ts')
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
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
