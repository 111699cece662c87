// Makes the published packages: JavaScript in dist/sdk and dist/platform, each with a generated package.json, and their tarballs.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const out = 'dist'
rmSync(out, { recursive: true, force: true })
mkdirSync(out)

function fail(message) {
  process.stderr.write(`pack: ${message}\n`)
  process.exit(1)
}

function compile(name, rootDir, include, { declaration, without }) {
  const config = join(out, `tsconfig.${name}.json`)
  const options = {
    noEmit: false,
    declaration,
    rootDir: join('..', rootDir),
    outDir: name,
    types: ['node'],
    typeRoots: ['../node_modules/@types'],
  }
  const exclude = without.map((pattern) => join('..', rootDir, pattern))
  writeFileSync(
    config,
    JSON.stringify({
      extends: '../tsconfig.json',
      compilerOptions: options,
      include: include.map((path) => join('..', path)),
      exclude,
    }),
  )
  const { status, stdout } = spawnSync(
    process.execPath,
    ['scripts/with-node.mjs', 'node_modules/typescript/bin/tsc', '--singleThreaded', '-p', config],
    { encoding: 'utf8' },
  )
  rmSync(config)
  if (status !== 0) fail(`types are wrong:\n${stdout}`)
}

function manifest(source, change) {
  const { private: _private, devDependencies: _dev, ...own } = JSON.parse(readFileSync(source, 'utf8'))
  return `${JSON.stringify({ ...own, ...change(own) }, null, 2)}\n`
}

const TESTS = ['**/*.test.ts', '**/*.fixture.ts']
// The contracts of the sdk's seams are public; those of the platform are its own.
compile('sdk', 'packages/sdk/src', ['packages/sdk/src'], { declaration: true, without: TESTS })
writeFileSync(
  join(out, 'sdk/package.json'),
  manifest('packages/sdk/package.json', (own) => ({
    exports: Object.fromEntries(
      Object.entries(own.exports).map(([key, path]) => [
        key,
        {
          types: path.replace('./src', '.').replace(/\.ts$/, '.d.ts'),
          default: path.replace('./src', '.').replace(/\.ts$/, '.js'),
        },
      ]),
    ),
    files: ['**/*.js', '**/*.d.ts', 'LICENSE'],
  })),
)

compile('platform', 'packages/platform', ['packages/platform/src', 'packages/platform/migrations'], {
  declaration: false,
  without: [...TESTS, '**/*.contract.ts'],
})
for (const directory of ['bin', 'python']) {
  const source = join('packages/platform', directory)
  if (existsSync(source))
    cpSync(source, join(out, 'platform', directory), {
      recursive: true,
      filter: (path) => !/(__pycache__|test_[^/]*\.py)$/.test(path),
    })
}
if (existsSync('packages/console/dist'))
  cpSync('packages/console/dist', join(out, 'platform/console'), { recursive: true })
else process.stderr.write('pack: the console is not built, and the package will have none; npm run build makes it\n')
writeFileSync(
  join(out, 'platform/package.json'),
  manifest('packages/platform/package.json', () => ({
    // A program, not a library: what others may import is @plimsoll/sdk.
    exports: { './package.json': './package.json' },
    files: ['bin', 'src', 'migrations', 'python', 'console', 'LICENSE', 'README.md'],
  })),
)
for (const name of ['sdk', 'platform']) {
  cpSync('LICENSE', join(out, name, 'LICENSE'))
  cpSync(name === 'platform' ? 'README.md' : 'packages/sdk/README.md', join(out, name, 'README.md'))
  const { status, stderr } = spawnSync('npm', ['pack', '--pack-destination', '..', '--loglevel', 'error'], {
    cwd: join(out, name),
    encoding: 'utf8',
  })
  if (status !== 0) fail(stderr)
}
console.log(
  readdirSync(out)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(out, name))
    .join('\n'),
)
