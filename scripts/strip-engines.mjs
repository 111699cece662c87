// Takes the Node versions that packages ask for out of package-lock.json: all run under the Node that it brings, while npm
// would leave out optional ones, such as a bundler's native part, for the Node that it runs under itself. After npm install.
import { readFileSync, writeFileSync } from 'node:fs'

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
for (const [path, entry] of Object.entries(lock.packages)) if (path.includes('node_modules/')) delete entry.engines
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`)
