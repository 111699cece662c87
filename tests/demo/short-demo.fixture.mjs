// A demo of one chapter, which only starts the platform: the rest is the demo's own.
import { runDemo } from '../../scripts/demo/run.mjs'

await runDemo([['1. A platform', async (platform) => ({ process: (await platform.start()).pid })]])
