#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { handOver } from './find-node.mjs'

const source = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const built = fileURLToPath(new URL('../src/cli/main.js', import.meta.url))
// Compiled code is kept beside the code that it was made from, where only its owner may write: a start takes half the time.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url))
handOver(import.meta.url, [existsSync(source) ? source : built, ...process.argv.slice(2)])
