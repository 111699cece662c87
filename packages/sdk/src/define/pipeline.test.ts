import { expect, test } from 'vitest'
import { pipelineStep, stepInput } from '../wire/definition/pipeline.ts'
import { defineFeatureService, defineFeatureView, last } from './feature.ts'
import { materialize, trainingSet } from './feature-step.ts'
import {
  allowFailed,
  command,
  datasetVersion,
  definePipeline,
  defineProject,
  float,
  int,
  pinned,
  python,
  register,
  string,
  typescript,
} from './pipeline.ts'

const flights = { kind: 'dataset', name: 'flights' } as const
const view = defineFeatureView({
  name: 'departures',
  entity: 'airport',
  source: 'flight-log',
  eventTime: 'date',
  features: { newest: last('delay') },
})
const board = defineFeatureService({ name: 'board', views: [view] })
const stepsOf = (build: Parameters<typeof definePipeline>[0]['build'], params = {}) =>
  definePipeline({ name: 'train', params, build }).steps

test('definePipeline() gives plain canonical JSON: steps in the order in which they were made', () => {
  const train = definePipeline({
    name: 'train',
    owner: 'ops',
    params: { trees: int(200), rate: float(), note: string('none') },
    build: (p) => {
      const version = datasetVersion(flights)
      const fit = python('steps/train.py', {
        files: ['steps/**'],
        lock: 'steps/requirements.lock',
        args: ['--trees', p.param('trees')],
        params: { rate: p.param('rate') },
        inputs: { flights: version, labels: pinned(flights, 3), raw: flights },
        outputs: { model: 'onnx', metrics: 'json' },
        resources: { cpu: 2, memory: '2Gi' },
        timeout: '30m',
        retries: 1,
      })
      return register({ model: { name: 'delay' }, from: fit, description: 'late flights' })
    },
  })
  expect(JSON.parse(JSON.stringify(train))).toEqual({
    kind: 'pipeline',
    name: 'train',
    owner: 'ops',
    params: { trees: { type: 'int', default: 200 }, rate: { type: 'float' }, note: { type: 'text', default: 'none' } },
    steps: [
      {
        key: 'version-flights',
        kind: 'dataset-version',
        params: { dataset: 'flights' },
        inputs: {},
        after: [],
        outputs: {},
        resources: { cpu: 1 },
        timeoutMs: 3_600_000,
        retries: 0,
        cache: true,
      },
      {
        key: 'train',
        kind: 'python',
        params: {
          rate: { $param: 'rate' },
          script: 'steps/train.py',
          files: ['steps/**'],
          lock: 'steps/requirements.lock',
          args: ['--trees', { $param: 'trees' }],
        },
        inputs: {
          flights: { from: 'step', step: 'version-flights', output: 'version' },
          labels: { from: 'dataset', dataset: 'flights', version: 3, allowFailed: false },
          raw: { from: 'dataset', dataset: 'flights', allowFailed: false },
        },
        after: [],
        outputs: { model: 'onnx', metrics: 'json' },
        resources: { cpu: 2, memoryBytes: 2 * 2 ** 30 },
        timeoutMs: 1_800_000,
        retries: 1,
        cache: true,
      },
      {
        key: 'register-delay',
        kind: 'register',
        params: { model: 'delay', description: 'late flights' },
        inputs: {
          model: { from: 'step', step: 'train', output: 'model' },
          metrics: { from: 'step', step: 'train', output: 'metrics' },
        },
        after: [],
        outputs: {},
        resources: { cpu: 1 },
        timeoutMs: 3_600_000,
        retries: 0,
        cache: true,
      },
    ],
  })
})

test('datasetVersion() takes other files than the definition says, and the bins of a version', () => {
  const [step] = stepsOf(() => datasetVersion(flights, { path: 'data/2001-02.parquet', reference: 1 }))
  expect(step!.params).toEqual({ dataset: 'flights', path: 'data/2001-02.parquet', reference: 1 })
})

test('a step stands for its first output, and names the others', () => {
  const steps = stepsOf(() => {
    const made = typescript('steps/2 Make It.mts', { outputs: { first: 'file', second: 'json' } })
    const bare = command(['/bin/echo', 'x'], { after: [made] })
    command(['true'], {
      key: 'read',
      inputs: { a: made, b: made.output('second') },
      outputs: { out: 'file' },
      after: [bare],
    })
  })
  expect(steps.map((step) => [step.key, step.kind])).toEqual([
    ['make-it', 'typescript'],
    ['echo', 'command'],
    ['read', 'command'],
  ])
  expect(steps[2]).toMatchObject({
    inputs: {
      a: { from: 'step', step: 'make-it', output: 'first' },
      b: { from: 'step', step: 'make-it', output: 'second' },
    },
    after: ['echo'],
  })
})

test('allowFailed() marks a source of any kind, and nothing else of it', () => {
  const steps = stepsOf(() => {
    const made = typescript('make.mts', { outputs: { first: 'file', second: 'dataset' } })
    const sources = { newest: flights, version: pinned(flights, 3), first: made, second: made.output('second') }
    const marked = Object.entries(sources).map(([name, source]) => [name, allowFailed(source)])
    command(['true'], { key: 'plain', inputs: sources })
    command(['true'], { key: 'marked', inputs: Object.fromEntries(marked) })
  })
  const [, plain, marked] = steps.map(({ inputs }) => Object.entries(inputs))
  expect(marked).toEqual(plain!.map(([name, input]) => [name, { ...input, allowFailed: true }]))
  expect(plain!.map(([, input]) => input.allowFailed)).toEqual([false, false, undefined, undefined])
  expect(pinned({ ...flights, allowFailed: true }, 3)).toEqual(allowFailed(pinned(flights, 3)))
})

test('an input that says allowFailed: false is the one that does not say it, from a step as from a dataset', () => {
  for (const from of [
    { from: 'step', step: 'make', output: 'first' },
    { from: 'dataset', dataset: 'flights' },
  ]) {
    const silent = stepInput.parse(from)
    expect(JSON.stringify(stepInput.parse({ ...from, allowFailed: false }))).toBe(JSON.stringify(silent))
    expect(stepInput.parse({ ...from, allowFailed: true })).toEqual({ ...silent, allowFailed: true })
  }
  expect(stepInput.parse({ from: 'step', step: 'make', output: 'first' })).not.toHaveProperty('allowFailed')
})

test('a step of own code names its secrets by variable, and none is the same as no member', () => {
  const secrets = { WAREHOUSE_PASSWORD: 'warehouse-password', B_2: 'b' }
  const stepsWith = (more: object) =>
    stepsOf(() => {
      python('a.py', more)
      typescript('b.ts', more)
      command(['true'], more)
    })
  expect(stepsWith({ secrets }).map((step) => step.secrets)).toEqual([secrets, secrets, secrets])
  expect(JSON.stringify(stepsWith({ secrets: {} }))).toBe(JSON.stringify(stepsWith({})))
  expect(JSON.stringify(stepsWith({}))).not.toContain('secrets')
  expect(() => stepsOf(() => datasetVersion(flights, { secrets } as object))).toThrow('takes no "secrets"')
})

test('secrets of a step are refused by name: variables that the platform gives or that change how programs start, and what is no name', () => {
  const faultsOf = (secrets: object) =>
    (
      pipelineStep
        .safeParse({ key: 'a', kind: 'command', secrets })
        .error?.issues.map(({ path, message }) => `${path.join('/')} ${message.split(':')[0]}`) ?? []
    ).sort()
  const given = 'the platform gives a step this variable'
  for (const name of [
    ...['PLIMSOLL_STEP', 'MLFLOW_TRACKING_TOKEN', 'PATH', 'HOME', 'PYTHONPATH', 'LC_ALL', 'PIP_INDEX_URL'],
    ...['TMPDIR', 'OMP_NUM_THREADS', 'DO_NOT_TRACK', 'HTTPS_PROXY', 'SSL_CERT_FILE'],
  ])
    expect(faultsOf({ [name]: 'a' })).toEqual([`secrets/${name} ${given}`])
  const starting = 'this variable may change how programs start'
  for (const name of ['LD_PRELOAD', 'NODE_OPTIONS', 'BASH_ENV', 'IFS', '_', 'PYTHONSTARTUP', 'OPENSSL_CONF'])
    expect(faultsOf({ [name]: 'a' })).toEqual([`secrets/${name} ${starting}`])
  for (const name of [
    ...['NODE_AUTH_TOKEN', 'SSL_KEY_PASSWORD', 'PIP_PASSWORD', 'MLFLOW_TRACKING_PASSWORD', 'PYTHON_INDEX_TOKEN'],
    ...['OPENSSL_KEY', 'BASHFUL_KEY', 'LC_KEY', 'ORT_KEY', 'OMP_KEY'],
  ])
    expect(faultsOf({ [name]: 'a' })).toEqual([])
  expect(faultsOf({ 'A=B': 'a', OK: 'Upper', OTHER: '../x' })).toEqual([
    'secrets one of them is no name of a variable',
    'secrets/OK is no name of a secret',
    'secrets/OTHER is no name of a secret',
  ])
  expect(faultsOf({ LAST: { value: 'v' } })).toEqual(['secrets/LAST is no name of a secret'])
  for (const name of ['password', 'A=B', '9A', 'A-B', 'É', '', 'A'.repeat(129)])
    expect(faultsOf({ [name]: 'a' })).toEqual(['secrets one of them is no name of a variable'])
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`A${index}`, 'a']))
  expect(faultsOf(many(32))).toEqual([])
  expect(faultsOf(many(33))).toEqual(['secrets a step takes at most 32 secrets, and here are 33'])
})

test.each([
  { PW: 'Hunter2 Value!' },
  { 'Hunter2 Value!': 'pw' },
  { 'Hunter2 Value!': { name: 'pw' } },
  'Hunter2 Value!',
  { PW: { value: 'Hunter2 Value!' } },
])('a secret that stands where its name should is refused and not shown: %j', (secrets) => {
  const made = () => stepsOf(() => command(['true'], { secrets } as object))
  expect(made).toThrow(/secrets.*(?:is no name|expects the names)/)
  expect(made).not.toThrow('Hunter2')
})

test('trainingSet() reads every dataset behind its service, from where it is told', () => {
  const steps = stepsOf(() => {
    const logged = datasetVersion({ name: 'flight-log' })
    trainingSet({ service: board, spine: flights, time: 'date', sources: { 'flight-log': logged } })
    trainingSet({
      key: 'other',
      service: board,
      spine: flights,
      time: 'date',
      columns: ['delay'],
      keys: { airport: 'origin' },
      dataset: 'set',
      asOf: '2001-01-01T00:00:00Z',
    })
  })
  expect(steps[1]).toMatchObject({
    key: 'training-set-board',
    kind: 'training-set',
    params: { service: 'board', time: 'date' },
    inputs: {
      flight_log: { from: 'step', step: 'version-flight-log', output: 'version' },
      spine: { from: 'dataset', dataset: 'flights' },
    },
  })
  expect(steps[2]).toMatchObject({
    params: { columns: ['delay'], keys: { airport: 'origin' }, dataset: 'set', asOf: '2001-01-01T00:00:00Z' },
    inputs: { flight_log: { from: 'dataset', dataset: 'flight-log' } },
  })
  expect(() =>
    stepsOf(() => trainingSet({ service: board, spine: flights, time: 'date', sources: { other: flights } })),
  ).toThrow('Cannot read "other" for feature service "board": its datasets are flight-log')
})

test('materialize() is never cached, and reads its slack in microseconds', () => {
  const [step] = stepsOf((p) => materialize({ service: board, until: p.param('until'), slack: '2h', cache: true }), {
    until: string(),
  })
  expect(step).toMatchObject({
    kind: 'materialize',
    cache: false,
    params: { service: 'board', until: { $param: 'until' }, slackUs: 7_200_000_000 },
  })
  const [plain] = stepsOf(() => materialize({ service: board, until: '2001-01-01T00:00:00Z' }))
  expect(plain!.params).toEqual({ service: 'board', until: '2001-01-01T00:00:00Z' })
  expect(stepsOf(() => materialize({ service: board }))[0]!.params).toEqual({ service: 'board' })
})

test.each([
  ['memory', { resources: { memory: '2GB' } }, 'Cannot read "2GB": expected for example 2Gi'],
  ['memory without a unit', { resources: { memory: '2' } }, 'Cannot read "2"'],
  ['timeout', { timeout: '1.5h' }, 'Cannot read "1.5h": expected for example 30m'],
  ['a unit that every object answers to', { timeout: '1constructor' }, 'Cannot read "1constructor"'],
])('a step refuses %s that it cannot read', (_title, options, message) => {
  expect(() => stepsOf(() => command(['true'], options))).toThrow(message)
})

test('definePipeline() refuses a param that it does not have, one inside another, and steps outside', () => {
  expect(() => stepsOf((p) => command([p.param('absent')]))).toThrow('Pipeline train has no param absent')
  expect(() => stepsOf((p) => command([p.param('constructor')]))).toThrow('has no param constructor')
  expect(() => stepsOf(() => stepsOf(() => command(['true'])))).toThrow('inside another one')
  expect(() => command(['true'])).toThrow('inside the build function')
  expect(stepsOf(() => command(['true']))).toHaveLength(1)
  expect(() => stepsOf(() => undefined)).toThrow()
})

test('datasetVersion() and register() take names and paths', () => {
  const steps = stepsOf(() => {
    const version = datasetVersion(flights, { path: 'data/2001-02.parquet', key: 'february' })
    register({ model: 'delay', from: version.output('version') })
  })
  expect(steps[0]).toMatchObject({ key: 'february', params: { dataset: 'flights', path: 'data/2001-02.parquet' } })
  expect(steps[1]!.params).toEqual({ model: 'delay' })
})

test('register() takes the metrics beside the model, others when told to, and none that are not json', () => {
  const steps = stepsOf(() => {
    const fit = command(['true'], { key: 'fit', outputs: { model: 'onnx', metrics: 'json' } })
    const bare = command(['true'], { key: 'bare', outputs: { model: 'onnx', metrics: 'file' } })
    register({ model: 'a', from: fit })
    register({ model: 'b', from: fit.output('model') })
    register({ model: 'c', from: bare, metrics: fit.output('metrics') })
    register({ model: 'd', from: bare })
  })
  const fitted = { from: 'step', step: 'fit', output: 'metrics' }
  expect(steps.slice(2).map((step) => step.inputs['metrics'])).toEqual([fitted, fitted, fitted, undefined])
})

test('defineProject() names the project', () => {
  expect(defineProject({ name: 'flights' })).toEqual({ kind: 'project', name: 'flights' })
})

test.each([
  ['a python step', () => python('a.py', { lok: 'x' } as object), '"lok"'],
  ['a typescript step', () => typescript('a.ts', { files: [] } as object), '"files"'],
  ['a command', () => command(['true'], { retry: 3 } as object), '"retry"'],
  ['a dataset version', () => datasetVersion(flights, { pth: 'x' } as object), '"pth"'],
  ['a registration', () => register({ model: 'm', from: flights, form: 'x' } as never), '"form"'],
  ['a training set', () => trainingSet({ service: board, spine: flights, time: 'at', asof: 'x' } as never), '"asof"'],
  ['a materialization', () => materialize({ service: board, until: 'x', slak: '1d' } as never), '"slak"'],
  ['resources', () => command(['true'], { resources: { cpus: 1 } } as object), '"cpus"'],
  ['a project', () => defineProject({ name: 'p', nme: 'q' } as { name: string }), '"nme"'],
])('an option that %s does not take is refused with those that it takes', (_what, make, named) => {
  const build = () => {
    make()
  }
  expect(() => stepsOf(build)).toThrow(new RegExp(`takes no ${named}: it takes \\w`))
})

test('a param of a script may not have the name of what the step says itself', () => {
  for (const name of ['script', 'files', 'lock', 'args'])
    expect(() => stepsOf(() => python('a.py', { params: { [name]: 1 } }))).toThrow(`cannot be named "${name}"`)
  expect(() => stepsOf(() => typescript('a.ts', { params: { args: 1 } }))).toThrow('cannot be named "args"')
  expect(stepsOf(() => typescript('a.ts', { params: { lock: 1 } }))).toHaveLength(1)
})

test.each<[string, () => unknown, RegExp]>([
  ['a command of nothing', () => command([]), /^step command: params\/argv: expected a program and its arguments/],
  [
    'a text for the arguments',
    () => command('echo hello | wc' as never),
    /^step command: params\/argv: expected a list, a program and its arguments, found "echo hello \| wc"$/,
  ],
  [
    'a number among the arguments',
    () => command(['echo', 5]),
    /^step echo: params\/argv\/1: expected a text or a param, found 5$/,
  ],
  [
    'a text for the list of files',
    () => python('a.py', { files: 'steps/*.py' as never }),
    /^step a: params\/files: expected a list of paths or patterns, found "steps\/\*\.py"$/,
  ],
  [
    'a text for secrets',
    () => python('a.py', { secrets: 'tok' as never }),
    /^step a: secrets: expects the names of secrets by variable, such as \{ WAREHOUSE_PASSWORD: warehouse-password \}$/,
  ],
  [
    'a text for outputs',
    () => typescript('a.ts', { outputs: 'metrics' as never }),
    /^step a: outputs: expected a record \(members by name\), found "metrics"$/,
  ],
  [
    'a list for params',
    () => python('a.py', { params: ['x'] as never }),
    /^The params of step "a.py": expected a record, found \["x"\]$/,
  ],
  [
    'a script that is no text',
    () => python(['a.py'] as never, {}),
    /^step python: params\/script: expected the path of a file of the project, found \["a.py"\]$/,
  ],
  [
    'no script',
    () => python(undefined as never, { lock: 'a.lock' }),
    /^step python: params\/script: is missing: expected the path of the step's program; there is only lock$/,
  ],
  [
    'a text for the columns of a training set',
    () => trainingSet({ service: board, spine: flights, time: 'at', columns: 'delay' as never }),
    /^trainingSet, columns: expected a list, found "delay"$/,
  ],
  [
    'the name of a service for itself',
    () => materialize({ service: 'board' as never, until: 'x' }),
    /^A materialize step, service: expected a feature service, as .*, found "board"$/,
  ],
  [
    'a text for the options',
    () => python('a.py', 'b.py' as never),
    /^A python step takes a record of .*, found "b.py"$/,
  ],
  [
    'the name of a dataset for a source',
    () => command(['true'], { inputs: { a: 'numbers' as never } }),
    /^step true, inputs\/a: expected a step .*defineDataset\(…\) returns\), found "numbers"$/,
  ],
  [
    'a source without its kind',
    () => command(['true'], { inputs: { a: { name: 'numbers' } as never } }),
    /^step true, inputs\/a: expected a step \(what python\(…\) or datasetVersion\(…\) return\).*, found \{"name":"numbers"\}$/,
  ],
  [
    'such a source that may have failed',
    () => allowFailed({ name: 'n' } as never),
    /^allowFailed: expected a step .*"n"\}$/,
  ],
  [
    'a step without outputs as a source',
    () => command(['true'], { inputs: { a: command(['false']) } }),
    /^step true, inputs\/a: step false has no outputs; to run behind it, name it in after$/,
  ],
  [
    'the key of a step that comes before',
    () => command(['true'], { after: ['a'] as never }),
    /^step true, after: expected a list of steps, as python\(…\) or command\(…\) return them, found "a"$/,
  ],
  [
    'the name of a dataset for itself',
    () => datasetVersion('numbers' as never),
    /^datasetVersion: expected a dataset, as defineDataset\(…\) returns it, found "numbers"$/,
  ],
  [
    'a registration of nothing',
    () => register({ model: 'm' } as never),
    /^register, from: expected a step .*, found undefined$/,
  ],
  [
    'two faults of one step',
    () => command(['true'], { key: 'a', outputs: { '../o': 'file', b: 'fle' as never } }),
    /^step a: outputs\/\.\.\/o: expected a letter or _, [^;]*; outputs\/b: expected one of file, json, [^;]*, found "fle"$/,
  ],
  [
    'more faults than a line holds',
    () =>
      command(['true'], {
        outputs: Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`o${n}`, 'fle' as never])),
      }),
    /found "fle"; and \d\d more$/,
  ],
])('a step refuses %s, in one line that names the member and what was expected', (_what, make, message) => {
  const build = () => {
    make()
  }
  expect(() => stepsOf(build)).toThrow(message)
})

test('python() and typescript() need no options', () => {
  expect(stepsOf(() => [python('steps/a.py'), typescript('steps/b.ts')]).map(({ key }) => key)).toEqual(['a', 'b'])
})

test('definePipeline() refuses a default that is no value of its type, a build that is none and what it does not take', () => {
  expect(() =>
    stepsOf(() => command(['true']), { n: int('abc' as never), t: string(5 as never), w: int(1.5) }),
  ).toThrow(
    /^Cannot define pipeline "train": params\/n\/default: expected a whole number \(type int\), found "abc"; params\/t\/default: expected a text \(type text\), found 5; params\/w\/default: expected a whole number .*1.5$/,
  )
  expect(() => definePipeline({ name: 'p', biuld: () => {} } as never)).toThrow(
    /^definePipeline takes no "biuld": it takes name, .*, build$/,
  )
  expect(() => definePipeline({ name: 'p' } as never)).toThrow('build: expected a function that makes the steps')
})
