import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestBytes } from '../kernel/digest.ts'
import { tripsModel } from './onnx.fixture.ts'
import { openModelPool } from './pool.ts'

/** Opens a pool whose host runs for hours, below the given folder, and prints the process of that host. */
const bytes = tripsModel()
const path = join(await mkdtemp(join(process.argv[2]!, 'busy-')), 'model')
await writeFile(path, bytes)
const pool = await openModelPool()
const digest = digestBytes(bytes)
await pool.load({ digest, path })
const data = BigInt64Array.of(2n ** 50n)
void pool.infer(digest, { inputs: [{ name: 'x', datatype: 'INT64', shape: [1], data }] })
setTimeout(() => process.stdout.write(`${pool.stats().hosts[0]!.pid}\n`), 200) // once it runs
