/** One try of a step, ready to run. `attempt` is unique for ever: submitting it twice starts one process. */
export interface StepSubmission {
  readonly attempt: string
  /** Program and arguments; never a shell line. */
  readonly argv: readonly string[]
  /** The whole environment of the process. */
  readonly environment: Readonly<Record<string, string>>
  readonly cwd: string
  /** Private directory of the attempt; standard output and error go to its file `log`. */
  readonly workDir: string
  readonly timeoutMs: number
  readonly memoryBytes?: number
}

/** What an attempt used: CPU milliseconds of its whole process tree, and the most bytes resident at one time. */
export interface StepUsage {
  readonly cpuMs: number
  readonly maxResidentBytes: number
}

/** How an attempt ended. `lost`: nobody can say, for example after a reboot. */
export interface StepExit {
  readonly state: 'exited' | 'lost'
  readonly exitCode?: number
  readonly signal?: string
  /** Set when the executor itself ended it. */
  readonly endedBy?: 'cancel' | 'timeout' | 'memory_limit' | 'log_limit' | 'process_limit'
  readonly usage?: StepUsage
}

/** Where attempts run. A handle is text by which a restarted control plane finds the attempt again. */
export interface StepExecutor {
  readonly name: string
  /** Idempotent by `attempt`. Resolves once the attempt is started. */
  submit(submission: StepSubmission): Promise<{ handle: string }>
  /**
   * The handle of an attempt that was submitted, when the reply to `submit` was lost. Undefined when none runs or ran;
   * then nothing of it runs any more.
   */
  find(
    submitted: Pick<StepSubmission, 'attempt' | 'workDir' | 'timeoutMs' | 'memoryBytes'>,
  ): Promise<{ handle: string } | undefined>
  /** Resolves when the attempt has ended; works on handles of an earlier incarnation of the control plane as well. */
  wait(handle: string): Promise<StepExit>
  /** Asks it to end, and after the grace makes it end, with every process that it started. */
  cancel(handle: string, graceMs: number): Promise<void>
  /** Stops watching; running attempts go on. */
  close(): Promise<void>
}
