import { isSmall } from './_figure.ts'
import { benchSteps, noopStep } from './_step-engine.ts'

/** 1,000 steps, each after the one before. */
const COUNT = isSmall ? 5 : 1_000

await benchSteps(
  'chain',
  Array.from({ length: COUNT }, (_, index) => noopStep(`s${index}`, index === 0 ? [] : [`s${index - 1}`])),
)
