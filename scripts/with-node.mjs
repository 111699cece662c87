// Runs a script under the project's own Node: `node scripts/with-node.mjs FILE ARG…`. Written for Node 20.
import { handOver } from '../packages/platform/bin/find-node.mjs'

handOver(import.meta.url, process.argv.slice(2))
