import { createHmac, hkdfSync } from 'node:crypto'
import { isProcessKind, type PipelineStep } from '@plimsoll/sdk/wire'
import { canonicalJson } from '../kernel/canonical.ts'
import type { Clock } from '../kernel/clock.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { openRedactor, type Redactor } from '../kernel/redaction.ts'
import type { Secrets } from '../kernel/secrets.ts'
import { readAttempt } from './attempt-files.ts'
import type { AttemptTokens } from './attempt-token.ts'
import { workDirOf } from './launch.ts'

/** A value of fewer characters cannot be told from other text, so that it could not be hidden. */
const CHARS_MIN = 6
/** Of all values of an attempt: a system may take no more than 128 KiB of arguments and variables, and the rest needs some. */
const VALUES_BYTES_MAX = 96 << 10
/** Attempts whose values are known; more than ever run at once. */
const KNOWN_MAX = 10_000
/** Attempts that have ended and whose logs may still be being read as they were while they went on, and for how long. */
const ENDED_MAX = 64
const ENDED_MS = 5 * 60_000
const KEY_BYTES = 32
const PURPOSE = 'plimsoll step secrets'

/** An attempt of a step that may have secrets. */
export interface SecretAttempt {
  readonly project: string
  readonly run: string
  readonly fence: bigint
  readonly definition: Pick<PipelineStep, 'key' | 'kind' | 'secrets'>
}

/** What an attempt is given of secrets. */
export interface GivenSecrets {
  /** Values by variable. */
  readonly environment: Readonly<Record<string, string>>
  /** Tells a later incarnation of ours whether it reads the same values, and nobody without our key anything. Undefined: there are none. */
  readonly digest: string | undefined
}

/** Secrets of running attempts: what their processes are given, and what hides it in what they leave. */
export interface StepSecrets {
  /**
   * Read now, for the environment of the attempt and nothing else; the digest is kept with its files.
   * @throws precondition pipelines.secret_missing · pipelines.secret_too_short · pipelines.secrets_too_large, and what a provider throws
   */
  give(attempt: SecretAttempt): Promise<GivenSecrets>
  /** What hides the token of the attempt, and what `give` gave it, if it gave anything. */
  redactorOfGiven(attempt: SecretAttempt): Redactor
  /**
   * What hides the token of the attempt and the values that it was given. Of an attempt that an earlier incarnation started they are read again:
   * when they are not those any more, nothing that it wrote can be shown.
   * @throws precondition pipelines.secret_changed, and as `give`
   */
  redactorOf(attempt: SecretAttempt): Promise<Redactor>
  /** The same, known until the attempt is forgotten: its values stay hidden when they change meanwhile. */
  keep(attempt: SecretAttempt): Promise<Redactor>
  /** Once it has ended and its log is stored: soon nothing of its values is here. */
  forget(fence: bigint): void
  /** Lets go what ended minutes ago. To be called now and then. */
  dropEnded(): void
}

export interface StepSecretsOptions {
  /** This installation's own, for as long as its attempts go on. */
  readonly secret: string
  /** Directory of all work directories. */
  readonly runsDir: string
  readonly tokenOf: AttemptTokens['tokenOf']
  readonly clock: Clock
}

export function openStepSecrets(
  secrets: Secrets,
  { secret, runsDir, tokenOf, clock }: StepSecretsOptions,
): StepSecrets {
  const key = Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, KEY_BYTES))
  const known = new Map<bigint, Redactor>()
  const ended: { fence: bigint; atMs: number }[] = []
  const know = (attempt: SecretAttempt, redactor: Redactor): Redactor => {
    if (Object.keys(attempt.definition.secrets ?? {}).length === 0) return redactor // of its token alone, it is made again
    if (!known.has(attempt.fence) && known.size >= KNOWN_MAX) known.delete(known.keys().next().value!)
    known.set(attempt.fence, redactor)
    return redactor
  }
  /** Values without the blanks at their ends, which a program that reads one often takes off. */
  const hiding = (attempt: SecretAttempt, values: Readonly<Record<string, string>>): Redactor =>
    openRedactor([
      ...Object.values(values).map((value) => value.trim()),
      // By it whoever reads the log could write the tracked run of the step.
      ...(isProcessKind(attempt.definition.kind) ? [tokenOf(attempt)] : []),
    ])
  const digestOf = ({ run, fence }: SecretAttempt, values: Readonly<Record<string, string>>): string | undefined =>
    Object.keys(values).length === 0
      ? undefined
      : createHmac('sha256', key)
          .update(canonicalJson({ run, fence: String(fence), values }))
          .digest('base64url')
  const redactorOf = async (attempt: SecretAttempt): Promise<Redactor> => {
    const there = known.get(attempt.fence)
    if (there) return there
    const doing = `show what step ${attempt.definition.key} wrote`
    const values = await valuesOf(secrets, attempt, doing)
    const digest = digestOf(attempt, values)
    if (digest !== undefined && digest !== (await readAttempt(workDirOf(runsDir, attempt)))?.secrets)
      throw new PlimsollError(
        'precondition',
        'pipelines.secret_changed',
        `Cannot ${doing}: its secrets are not those any more that it was given, so that those could not be hidden`,
        { action: 'Set the values that it was given, or run it again' },
      )
    return hiding(attempt, values)
  }
  return {
    async give(attempt) {
      const environment = await valuesOf(secrets, attempt, `give step ${attempt.definition.key} its secrets`)
      know(attempt, hiding(attempt, environment))
      return { environment, digest: digestOf(attempt, environment) }
    },
    redactorOfGiven: (attempt) => known.get(attempt.fence) ?? hiding(attempt, {}),
    redactorOf,
    keep: async (attempt) => know(attempt, await redactorOf(attempt)),
    forget(fence) {
      if (!known.has(fence)) return
      ended.push({ fence, atMs: clock.monotonicMs() })
      if (ended.length > ENDED_MAX) known.delete(ended.shift()!.fence)
    },
    dropEnded() {
      const untilMs = clock.monotonicMs() - ENDED_MS
      while (ended[0] && ended[0].atMs <= untilMs) known.delete(ended.shift()!.fence)
    },
  }
}

/** Every one that is missing is named, and else every one that is too short. */
async function valuesOf(
  secrets: Secrets,
  { project, definition }: SecretAttempt,
  doing: string,
): Promise<Record<string, string>> {
  const values: Record<string, string> = {}
  const missing = new Set<string>()
  const short = new Set<string>()
  for (const [variable, name] of Object.entries(definition.secrets ?? {})) {
    const found = await secrets.find({ project, name })
    if (found === undefined) missing.add(name)
    else if ([...found.value.trim()].length < CHARS_MIN) short.add(`${name} (${found.from})`)
    else values[variable] = found.value
  }
  if (missing.size > 0) {
    const names = [...missing]
    throw new PlimsollError(
      'precondition',
      'pipelines.secret_missing',
      `Cannot ${doing}: project ${project} has no ${names.join(', ')}`,
      { missing: names, action: names.map((name) => secrets.howToSet({ project, name })).join('. ') },
    )
  }
  if (short.size > 0)
    throw new PlimsollError(
      'precondition',
      'pipelines.secret_too_short',
      `Cannot ${doing}: ${[...short].join(', ')} of project ${project} has fewer than ${CHARS_MIN} characters, blanks at its ends not counted`,
      { action: 'So short a value could not be hidden in logs: choose a longer one' },
    )
  const bytes = Object.values(values).reduce((sum, value) => sum + Buffer.byteLength(value), 0)
  if (bytes > VALUES_BYTES_MAX)
    throw new PlimsollError(
      'precondition',
      'pipelines.secrets_too_large',
      `Cannot ${doing}: they are ${bytes} bytes together, more than the ${VALUES_BYTES_MAX} that a step may be given`,
      { action: 'Keep large values elsewhere, and a key to them here' },
    )
  return values
}
