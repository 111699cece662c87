import assert from 'node:assert/strict'
import { SECRET_BYTES_MAX } from '../wire/secret-name.ts'
import type { SecretProvider } from './secret-provider.ts'

/** What a runner of the contract provides for one case: a provider that holds nothing yet. */
export interface SecretProviderSubject {
  provider: SecretProvider
  /** A project whose secrets it can hold. */
  project: string
  /** Sets a secret of that project as an operator does, over what was there. */
  set(name: string, value: string): Promise<void>
}

/** One case: `run` opens its own subject and throws when the rule does not hold. */
export interface SecretProviderCase {
  readonly name: string
  run(open: () => Promise<SecretProviderSubject>): Promise<void>
}

const NAME = 'warehouse-password'
const CANARY = 'canary-7f3a9b'

/** What is no name: ways out of a folder, other spellings of one that is there, and what ends or outgrows a path. */
const HOSTILE = [
  '',
  '.',
  '..',
  '../found',
  './found',
  'found/',
  'found/../found',
  'a/b',
  'a\\b',
  '/etc/passwd',
  'found\0',
  '\0',
  'found\n',
  ' found',
  'FOUND',
  'f\u200bound',
  'FOUND=x',
  '__proto__',
  'x'.repeat(64),
  'x'.repeat(100_000),
]

const values: SecretProviderCase[] = [
  {
    name: 'read() gives a value that was set, and nothing for a name that was not',
    run: async (open) => {
      const { provider, project, set } = await open()
      await set(NAME, CANARY)
      assert.equal(await provider.read({ project, name: NAME }), CANARY)
      for (const name of ['absent', 'warehouse', 'warehouse-password-2', 'constructor', 'a'])
        assert.equal(await provider.read({ project, name }), undefined)
    },
  },
  {
    name: 'read() takes an empty value for none',
    run: async (open) => {
      const { provider, project, set } = await open()
      for (const empty of ['', '\n', '\r\n']) {
        await set(NAME, empty)
        assert.equal(await provider.read({ project, name: NAME }), undefined)
      }
    },
  },
  {
    name: 'read() keeps the lines of a value, its spaces and its script, and cuts one newline at its end',
    run: async (open) => {
      const { provider, project, set } = await open()
      const kept = [
        '-----BEGIN KEY-----\nabc\n\ndef\n-----END KEY-----',
        ' both ends \t',
        'pässwörd 🚢',
        'a\r\nb',
        'x\r',
      ]
      for (const value of kept) {
        await set(NAME, value)
        assert.equal(await provider.read({ project, name: NAME }), value)
      }
      for (const [value, read] of [
        ['one\n', 'one'],
        ['two\n\n', 'two\n'],
        ['three\r\n', 'three'],
      ] as const) {
        await set(NAME, value)
        assert.equal(await provider.read({ project, name: NAME }), read)
      }
    },
  },
  {
    name: 'read() gives a value of the most bytes, and refuses a longer one without saying any of it',
    run: async (open) => {
      const { provider, project, set } = await open()
      const most = CANARY.padEnd(SECRET_BYTES_MAX, '.')
      for (const value of [most, `${most}\n`]) {
        await set(NAME, value)
        assert.equal(await provider.read({ project, name: NAME }), most)
      }
      for (const value of [`${most}.`, CANARY.padEnd(SECRET_BYTES_MAX, 'é'), most.repeat(10)]) {
        await set(NAME, value)
        await assert.rejects(provider.read({ project, name: NAME }), (error: Error & { code?: unknown }) => {
          assert.equal(error.code, 'secrets.too_large')
          return !JSON.stringify([error.message, { ...error }]).includes(CANARY)
        })
      }
    },
  },
  {
    name: 'read() sees a changed value the next time',
    run: async (open) => {
      const { provider, project, set } = await open()
      for (const value of ['the first one', 'another', 'the first one']) {
        await set(NAME, value)
        assert.equal(await provider.read({ project, name: NAME }), value)
      }
    },
  },
]

const reach: SecretProviderCase[] = [
  {
    name: 'read() gives a secret to its own project only',
    run: async (open) => {
      const { provider, project, set } = await open()
      await set('found', CANARY)
      for (const other of ['other', `${project}-2`, project.slice(0, -1), 'constructor'])
        assert.equal(await provider.read({ project: other, name: 'found' }), undefined)
    },
  },
  {
    name: 'read() finds nothing by what is no name, of a secret or of a project',
    run: async (open) => {
      const { provider, project, set } = await open()
      await set('found', CANARY)
      for (const name of [...HOSTILE, `../${project}/found`])
        assert.equal(await provider.read({ project, name }), undefined, JSON.stringify(name.slice(0, 80)))
      for (const odd of [
        ...HOSTILE,
        `./${project}`,
        `${project}/`,
        `x/../${project}`,
        `${project}\0`,
        project.toUpperCase(),
      ])
        assert.equal(await provider.read({ project: odd, name: 'found' }), undefined, JSON.stringify(odd.slice(0, 80)))
    },
  },
  {
    name: 'read() answers many at once, each with its own',
    run: async (open) => {
      const { provider, project, set } = await open()
      const names = Array.from({ length: 20 }, (_, index) => `secret-${index}`)
      for (const name of names) await set(name, `value of ${name}`)
      assert.deepEqual(
        await Promise.all([...names, ...names].map((name) => provider.read({ project, name }))),
        [...names, ...names].map((name) => `value of ${name}`),
      )
    },
  },
]

/** What every source of secrets must do. */
export const SECRET_PROVIDER_CONTRACT: readonly SecretProviderCase[] = [...values, ...reach]
