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
