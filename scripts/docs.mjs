// Makes docs/reference from the code: `npm run docs`. Written for Node 20; the pages are made under the project's own Node.
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { findNode, handOver } from '../packages/platform/bin/find-node.mjs'

if (process.execPath !== findNode(import.meta.url)) handOver(import.meta.url, [fileURLToPath(import.meta.url)])
else {
  const { referencePages } = await import('./docs-reference.ts')
  mkdirSync('docs/reference', { recursive: true })
  for (const [path, text] of referencePages('.')) {
    writeFileSync(path, text)
    console.log(path)
  }
}
