import assert from 'node:assert/strict'
import type { Role } from '../wire/access.ts'
import type { IdentityProvider, PresentedCredentials, ProvenIdentity } from './identity-provider.ts'

/** Credentials that a runner made, and what they stand for. */
export interface MadeCredentials {
  readonly presented: PresentedCredentials
  /** Id of the principal whose they are. */
  readonly id: string
  /** The principal's role on the project of `presented`; it has none on any other. */
  readonly role: Role
  /** The body that they are about, where they are about one. */
  readonly bodyDigest?: string
}

/** What a runner of the contract provides for one case. */
export interface IdentityProviderSubject {
  readonly provider: IdentityProvider
  readonly declares: {
    readonly kind: ProvenIdentity['principal']['kind']
    readonly named: boolean
    /** They show who calls once, as a signature over one request does; the second time they are refused. */
    readonly isOneUse: boolean
    /** They are good for one request, and for no other method, address, host or project. */
    readonly isForOneRequest: boolean
    /** False where they hold until they expire, and all that can be taken from the person is the role. */
    readonly isRevocable: boolean
    /** They say a name that the caller claims. False where the platform keeps whose they are, and no name is read from them. */
    readonly isNameClaimed: boolean
  }
  /** A project that is there, on which nobody of this case has a role. */
  readonly otherProject: string
  /** Credentials that hold, of one of two persons of this case (the first); new ones each time where they are for one use. */
  make(person?: 'first' | 'second'): Promise<MadeCredentials>
  /** Of a person who is there, and held once. */
  makeExpired(): Promise<PresentedCredentials>
  /** Right in form, and not from where this provider's come from. */
  makeUnknown(): Promise<PresentedCredentials>
  /** Revokes the credentials of the first person; where that cannot be, takes the person's role. */
  revoke(): Promise<void>
  /** Credentials of this kind that were written to do harm, each with no more than its one fault. */
  makeHostile?(): Promise<readonly PresentedCredentials[]>
  /** Credentials that hold but for the name that they claim; exactly where `declares.isNameClaimed`. */
  makeCalled?(id: string): Promise<PresentedCredentials>
}

/** One case: `run` opens its own subject and throws when the rule does not hold. */
export interface IdentityProviderCase {
  readonly name: string
  run(open: () => Promise<IdentityProviderSubject>): Promise<void>
}

const PROOF_CHARS_MAX = 256
/** A piece of the credentials this long in an error or a proof is no accident. */
const QUOTED_CHARS = 16
const CAUSES_MAX = 8
/** How much a failed case shows of an error that may hold a hostile text. */
const SHOWN_CHARS = 200
const HUGE_CHARS = 1 << 20
const TOGETHER = 6

/** Whether a text holds a piece of the credentials. What is shorter than a piece is no secret. */
function quotes(text: string, credentials: string): boolean {
  for (let at = 0; at + QUOTED_CHARS <= text.length; at++)
    if (credentials.includes(text.slice(at, at + QUOTED_CHARS))) return true
  return false
}

/** All that an error tells to whoever is answered or reads the log. */
function textOf(thrown: unknown): string {
  const texts: string[] = []
  let error = thrown
  for (let depth = 0; error instanceof Error && depth < CAUSES_MAX; depth++) {
    texts.push(error.message, JSON.stringify({ ...error, cause: undefined }))
    error = error.cause
  }
  return texts.join('\n')
}

/** How the credentials were taken. What is neither an identity, undefined nor a refusal fails the case. */
async function outcomeOf(
  provider: IdentityProvider,
  presented: PresentedCredentials,
  what: string,
): Promise<ProvenIdentity | 'refused' | undefined> {
  try {
    return await provider.identify(presented)
  } catch (error) {
    const { kind, code } = error as { kind?: unknown; code?: unknown } // whatever was thrown
    const text = textOf(error)
    const shown = text.slice(0, SHOWN_CHARS)
    assert.equal(kind, 'unauthenticated', `${what} is refused as ${String(kind)}: ${shown}`)
    assert.match(String(code), /^[a-z][a-z_]*\.[a-z][a-z_0-9]*$/, `${what} is refused without a code`)
    assert.ok(!quotes(text, presented.value), `the refusal of ${what} quotes it: ${shown}`)
    return 'refused'
  }
}

async function assertRefused(provider: IdentityProvider, presented: PresentedCredentials, what: string): Promise<void> {
  const outcome = await outcomeOf(provider, presented, what)
  assert.equal(outcome, 'refused', `${what} is ${outcome === undefined ? 'left to others' : 'taken'}`)
}

async function identified({ provider }: IdentityProviderSubject, made: MadeCredentials): Promise<ProvenIdentity> {
  const identity = await provider.identify(made.presented)
  assert.ok(identity, `${provider.name} leaves its own credentials to others`)
  return identity
}

function withValue(presented: PresentedCredentials, value: string): PresentedCredentials {
  return { ...presented, value }
}

function withRequest(
  presented: PresentedCredentials,
  change: Partial<PresentedCredentials['request']>,
): PresentedCredentials {
  return { ...presented, request: { ...presented.request, ...change } }
}

/** Names that the platform gives a meaning, and texts that are no name. */
const MEANT_NAMES = [
  'operator',
  'system',
  'anonymous',
  'Operator',
  'run:1',
  '',
  '../x',
  'a b',
  'a\nb',
  'x'.repeat(4_096),
]

const telling: IdentityProviderCase[] = [
  {
    name: 'identify() tells whose credentials hold, how that was shown, and the body that they are about',
    run: async (open) => {
      const subject = await open()
      assert.match(subject.provider.name, /^[a-z][a-z0-9-]*$/)
      for (const person of ['first', 'second'] as const) {
        const made = await subject.make(person)
        const { principal, bodyDigest } = await identified(subject, made)
        const { proof, ...rest } = principal
        assert.deepEqual(rest, { id: made.id, kind: subject.declares.kind, named: subject.declares.named })
        assert.equal(bodyDigest, made.bodyDigest)
        assert.match(proof, /^[\x21-\x7e]+$/)
        assert.ok(proof.length <= PROOF_CHARS_MAX, 'the proof is too long')
        assert.ok(!quotes(proof, made.presented.value), `the proof quotes the credentials: ${proof}`)
      }
      const [again, other] = [await subject.make(), await subject.make('second')]
      assert.notEqual(again.presented.value, other.presented.value)
      assert.equal((await identified(subject, again)).principal.id, again.id)
      assert.notEqual(again.id, other.id)
    },
  },
  {
    name: 'roleOn() is the role on the project where there is one, and undefined on any other and on all',
    run: async (open) => {
      const subject = await open()
      const made = await subject.make()
      const { roleOn } = await identified(subject, made)
      const { project } = made.presented
      assert.equal(await roleOn(project), made.role)
      const others = [
        subject.otherProject,
        '*',
        '',
        project.toUpperCase(),
        `${project} `,
        `${project}%`,
        project.slice(0, -1),
        '__proto__',
      ]
      for (const other of others) assert.equal(await roleOn(other), undefined, `there is a role on "${other}"`)
      assert.equal(await roleOn(project), made.role)
    },
  },
  {
    name: 'identify() for another project than that of the role gives no role on it',
    run: async (open) => {
      const { provider, make, otherProject } = await open()
      const { presented } = await make()
      const outcome = await outcomeOf(provider, { ...presented, project: otherProject }, 'a login elsewhere')
      assert.notEqual(outcome, undefined)
      if (typeof outcome === 'object') assert.equal(await outcome.roleOn(otherProject), undefined)
    },
  },
  {
    name: 'identify() of many at once mixes nobody up',
    run: async (open) => {
      const subject = await open()
      const made: MadeCredentials[] = []
      for (let turn = 0; turn < TOGETHER; turn++) made.push(await subject.make(turn % 2 === 0 ? 'first' : 'second'))
      const strangers = [await subject.makeUnknown(), withValue(made[0]!.presented, 'x')]
      const [identities] = await Promise.all([
        Promise.all(made.map((one) => identified(subject, one))),
        ...strangers.map((presented) => outcomeOf(subject.provider, presented, 'a stranger')),
      ])
      assert.deepEqual(
        identities.map(({ principal, bodyDigest }) => [principal.id, bodyDigest]),
        made.map(({ id, bodyDigest }) => [id, bodyDigest]),
      )
      const roles = await Promise.all(identities.map(({ roleOn }, at) => roleOn(made[at]!.presented.project)))
      assert.deepEqual(
        roles,
        made.map(({ role }) => role),
      )
    },
  },
  {
    name: 'identify() twice of the same credentials is taken twice, or once and never again, as declared',
    run: async (open) => {
      const subject = await open()
      const { presented, id } = await subject.make()
      const together = Array.from({ length: TOGETHER }, () => outcomeOf(subject.provider, presented, 'a login again'))
      const taken = (await Promise.all(together)).filter((outcome) => typeof outcome === 'object')
      assert.equal(taken.length, subject.declares.isOneUse ? 1 : TOGETHER)
      for (const identity of taken) assert.equal(identity.principal.id, id)
      if (subject.declares.isOneUse) await assertRefused(subject.provider, presented, 'a login used before')
      else assert.equal((await subject.provider.identify(presented))?.principal.id, id)
    },
  },
]

const refusing: IdentityProviderCase[] = [
  {
    name: 'identify() leaves credentials of another scheme to the next provider',
    run: async (open) => {
      const { provider, make } = await open()
      const { presented } = await make()
      for (const scheme of ['basic', 'digest', '', '__proto__', `${presented.scheme}x`, presented.scheme.slice(0, -1)])
        assert.equal(await provider.identify({ ...presented, scheme }), undefined, `"${scheme}" is taken`)
      assert.ok(await provider.identify(presented), 'asking used the credentials up')
    },
  },
  {
    name: 'identify() refuses damaged credentials of its kind, and damages nothing by it',
    run: async (open) => {
      const { provider, make } = await open()
      const { presented } = await make()
      const { value } = presented
      for (const share of [0.5, 0.6, 0.75, 0.875]) {
        const at = Math.floor(value.length * share)
        const changed = value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1)
        await assertRefused(provider, withValue(presented, changed), `a change at ${at} of ${value.length}`)
        await assertRefused(provider, withValue(presented, value.slice(0, at)), `${at} of ${value.length} characters`)
      }
      await assertRefused(provider, withValue(presented, value + value), 'a login twice in one')
      assert.ok(await provider.identify(presented), 'the whole ones hold no more')
    },
  },
  {
    name: 'identify() refuses expired and unknown credentials',
    run: async (open) => {
      const { provider, makeExpired, makeUnknown } = await open()
      await assertRefused(provider, await makeExpired(), 'an expired login')
      await assertRefused(provider, await makeUnknown(), 'an unknown login')
    },
  },
  {
    name: 'identify() refuses revoked credentials at once; where none can be revoked, the role goes at once',
    run: async (open) => {
      const subject = await open()
      const { provider, declares, make, revoke } = subject
      const [before, other] = [await make(), await make('second')]
      const { project } = before.presented
      const kept = declares.isOneUse ? undefined : await identified(subject, before)
      if (kept) assert.equal(await kept.roleOn(project), before.role)
      await revoke()
      if (declares.isRevocable) await assertRefused(provider, before.presented, 'a revoked login')
      else {
        const { roleOn } = kept ?? (await identified(subject, before))
        assert.equal(await roleOn(project), undefined)
        if (kept) assert.equal(await (await identified(subject, before)).roleOn(project), undefined)
      }
      const { roleOn } = await identified(subject, other)
      assert.equal(await roleOn(other.presented.project), other.role)
    },
  },
  {
    name: 'identify() refuses another request than the one that was signed, and takes any where none was, as declared',
    run: async (open) => {
      const { provider, declares, make, otherProject } = await open()
      const { presented, id } = await make()
      const others = {
        method: withRequest(presented, { method: 'DELETE' }),
        query: withRequest(presented, { url: `${presented.request.url}?force=1` }),
        path: withRequest(presented, { url: '/other' }),
        host: withRequest(presented, { host: 'elsewhere:80' }),
        'no host': withRequest(presented, { host: '' }),
      }
      for (const [what, other] of Object.entries(others)) {
        if (declares.isForOneRequest) await assertRefused(provider, other, `a signature for another ${what}`)
        else assert.equal((await provider.identify(other))?.principal.id, id)
      }
      if (declares.isForOneRequest)
        await assertRefused(provider, { ...presented, project: otherProject }, 'a signature for another project')
      assert.equal((await provider.identify(presented))?.principal.id, id)
    },
  },
  {
    name: 'identify() vouches for no body on a route that compares none',
    run: async (open) => {
      const { provider, make } = await open()
      const { presented, id, bodyDigest } = await make()
      const unconfirmed = withRequest(presented, { confirmsBody: false })
      if (bodyDigest !== undefined) await assertRefused(provider, unconfirmed, 'a signature that nothing compares')
      else assert.equal((await provider.identify(unconfirmed))?.principal.id, id)
    },
  },
  {
    name: 'identify() refuses a claimed name that has a meaning or is none, and where none can be claimed takes none, as declared',
    run: async (open) => {
      const { provider, declares, make, makeCalled } = await open()
      assert.equal(makeCalled !== undefined, declares.isNameClaimed, 'makeCalled is there where a name can be claimed')
      const { presented } = await make()
      for (const id of MEANT_NAMES) {
        const what = `somebody called ${JSON.stringify(id.slice(0, 20))}`
        if (makeCalled) await assertRefused(provider, await makeCalled(id), what)
        else
          for (const value of [id, `${id}:${presented.value}`, `${presented.value}:${id}`])
            assert.notEqual(typeof (await outcomeOf(provider, withValue(presented, value), what)), 'object', what)
      }
    },
  },
]

/** Texts for any provider; `value` holds. */
function hostileTexts(value: string): Record<string, string> {
  const head = value.slice(0, 10)
  const insert = (text: string, share = 0.75) => {
    const at = Math.floor(value.length * share)
    return value.slice(0, at) + text + value.slice(at)
  }
  return {
    nothing: '',
    'one character': 'x',
    'a kind and nothing': head,
    '1 MB': 'A'.repeat(HUGE_CHARS),
    '1 MB of its kind': head + 'A'.repeat(HUGE_CHARS),
    '1 MB of dots': '.'.repeat(HUGE_CHARS),
    '1 MB of itself': value.repeat(Math.ceil(HUGE_CHARS / value.length)),
    'a NUL before it': `\0${value}`,
    'a NUL in it': insert('\0'),
    'a NUL behind it': `${value}\0`,
    'a blank in it': insert(' '),
    'a header behind it': `${value}\r\nX-Plimsoll-Project: other`,
    'a second login behind it': `${value}, Bearer ${value}`,
    'JSON of its kind': `${head}${JSON.stringify({ __proto__: null, constructor: { prototype: { polluted: true } } })}`,
    'deep JSON': '['.repeat(50_000),
    'deep JSON in base64': Buffer.from('['.repeat(50_000)).toString('base64'),
    'a claim of no algorithm': `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`,
    'SQL of its kind': `${head}' or '1'='1' --`,
    'a pattern of its kind': `${head}%`,
    'a path of its kind': `${head}../../../etc/passwd`,
    'letters of its kind that are not ASCII': `${head}é🦆\u202e\u0130`,
    'a letter in it that is not ASCII': insert('é'),
    'a letter early in it that is not ASCII': insert('é', 0.3),
    'half a letter of its kind': `${head}\ud800`,
    'wide digits': value.replace(/[0-9]/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
    'a name of an object': '__proto__',
  }
}

const withstanding: IdentityProviderCase[] = [
  {
    name: 'identify() refuses hostile text or leaves it to others: nothing else, and it goes on',
    run: async (open) => {
      const subject = await open()
      const { provider, make, makeHostile } = subject
      const made = await make()
      for (const [what, value] of Object.entries(hostileTexts(made.presented.value))) {
        if (value === made.presented.value) continue // nothing of it could be changed so
        const outcome = await outcomeOf(provider, withValue(made.presented, value), what)
        assert.ok(typeof outcome !== 'object', `${what} is taken`)
      }
      for (const [at, presented] of ((await makeHostile?.()) ?? []).entries())
        await assertRefused(provider, presented, `hostile login ${at}`)
      assert.equal((await identified(subject, made)).principal.id, made.id)
    },
  },
]

/** What every identity provider must hold. */
export const IDENTITY_PROVIDER_CONTRACT: readonly IdentityProviderCase[] = [...telling, ...refusing, ...withstanding]
