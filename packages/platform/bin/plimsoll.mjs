#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { handOver } from './find-node.mjs'

const source = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const built = fileURLToPath(new URL('../src/cli/main.js', import.meta.url))
handOver(import.meta.url, [existsSync(source) ? source : built, ...process.argv.slice(2)])
