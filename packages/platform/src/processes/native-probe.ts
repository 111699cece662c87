/** Loads each native library as its adapter does, for `plimsoll doctor`. */
export async function loadDuckdb(): Promise<void> {
  await import('../adapters/duckdb/index.ts')
}

export async function loadLmdb(): Promise<void> {
  await import('../adapters/lmdb/index.ts')
}

export async function loadOnnx(): Promise<void> {
  await import('../adapters/onnx/runtime.ts')
}

/** What the server of `database.url` answers. @throws unavailable db.unavailable · invalid config.invalid */
export async function askPostgres(url: string, timeoutMs: number): Promise<{ version: string; place: string }> {
  const adapter = await import('../adapters/postgres/index.ts')
  return adapter.askPostgres(url, timeoutMs)
}

/** The interpreter that Python steps will get. @throws unavailable python.missing · python.too_old */
export async function findPython(): Promise<{ path: string; version: string }> {
  const [{ openPythonEnvironments }, { readEnvironment }, { realClock }] = await Promise.all([
    import('../pipelines/index.ts'),
    import('../kernel/config/index.ts'),
    import('../kernel/clock.ts'),
  ])
  const environment = Object.fromEntries(
    Object.entries(readEnvironment()).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
  return openPythonEnvironments('', environment, realClock).interpreter()
}
