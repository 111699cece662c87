import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { storeModel } from './model-file.fixture.ts'
import { tripsModel } from './onnx.fixture.ts'
import { openModelPool } from './pool.ts'

/** Opens a pool whose host runs for hours, below the given folder, and prints the process of that host. */
const model = await storeModel(await mkdtemp(join(process.argv[2]!, 'busy-')), tripsModel())
const pool = await openModelPool()
await pool.load(model)
const data = BigInt64Array.of(2n ** 50n)
void pool.infer(model.digest, { inputs: [{ name: 'x', datatype: 'INT64', shape: [1], data }] })
setTimeout(() => process.stdout.write(`${pool.stats().hosts[0]!.pid}\n`), 200) // once it runs
