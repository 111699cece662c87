import { z } from 'zod'
import { OUTPUT_TYPES } from './step-kind.ts'

const stepFile = z.object({
  run: z.string(),
  step: z.string(),
  attempt: z.string(),
  kind: z.string(),
  spec: z.json(),
  inputs: z.record(
    z.string(),
    z.object({ type: z.enum(OUTPUT_TYPES), digest: z.string(), path: z.string(), files: z.array(z.string()) }),
  ),
  outputs: z.record(z.string(), z.object({ path: z.string() })),
  events: z.string(),
  work_dir: z.string(),
})

/** The file that `PLIMSOLL_STEP` names, as a step of a contributed kind reads it. */
export function parseStepFile(text: string): z.infer<typeof stepFile> {
  return stepFile.parse(JSON.parse(text))
}
