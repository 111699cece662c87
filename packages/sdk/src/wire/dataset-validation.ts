import { z } from 'zod'
import { expectation } from './definition/dataset.ts'

/** What one expectation found, in Great Expectations' names. Percents are 0–100, null when there was no row. */
export const expectationResult = z.strictObject({
  success: z.boolean(),
  expectation_config: expectation.extend({ meta: z.record(z.string(), z.json()).optional() }),
  result: z.record(z.string(), z.json()),
  meta: z.record(z.string(), z.json()).default({}),
  exception_info: z.strictObject({
    raised_exception: z.boolean(),
    exception_message: z.string().nullable(),
    exception_traceback: z.null(),
  }),
})
/** The result of one expectation. */
export type ExpectationResult = z.output<typeof expectationResult>

/** Verdict of an expectation suite on one dataset version, in the shape of Great Expectations' suite result. */
export const validationResult = z.strictObject({
  success: z.boolean(),
  results: z.array(expectationResult),
  suite_name: z.string(),
  suite_parameters: z.record(z.string(), z.json()).default({}),
  statistics: z.strictObject({
    evaluated_expectations: z.int().nonnegative(),
    successful_expectations: z.int().nonnegative(),
    unsuccessful_expectations: z.int().nonnegative(),
    /** Null when nothing was evaluated. */
    success_percent: z.number().nullable(),
  }),
  meta: z.record(z.string(), z.json()),
})
/** The verdict of a suite on one version, with the result of each expectation. */
export type ValidationResult = z.output<typeof validationResult>
