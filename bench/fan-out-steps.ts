import { isSmall } from './_figure.ts'
import { benchSteps, noopStep } from './_step-engine.ts'

/** One step, then 1,000 side by side, then one that joins them. */
const COUNT = isSmall ? 5 : 1_000
const sides = Array.from({ length: COUNT }, (_, index) => `s${index}`)

await benchSteps('fan-out', [
  noopStep('first', []),
  ...sides.map((key) => noopStep(key, ['first'])),
  noopStep('last', sides),
])
