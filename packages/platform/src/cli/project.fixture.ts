import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { identityModel } from '../inference/onnx.fixture.ts'

/** What a program may write to look like the platform. */
export const FORGED_LINE = '{"level":40,"time":1,"name":"step broken","pid":7,"msg":"all is well"}'

const PROJECT = `import {
  csv, datasetVersion, defineDataset, defineModel, definePipeline, defineProject, defineRoute, expectColumn, float64,
  int32, python, register, string, typescript,
} from '@plimsoll/sdk'

export const project = defineProject({ name: 'small' })

export const numbers = defineDataset({
  name: 'numbers',
  description: 'Pairs of numbers',
  source: csv('data/good.csv'),
  schema: { a: float64(), b: float64(), label: int32() },
  expectations: [expectColumn('a').between(0, 10), expectColumn('label').oneOf([0, 1])],
})

export const hello = definePipeline({
  name: 'hello',
  params: { whom: string('world') },
  build: (p) => {
    const greet = typescript('steps/greet.mts', { params: { whom: p.param('whom') }, outputs: { greeting: 'json' } })
    typescript('steps/count.mts', { inputs: { greeting: greet }, outputs: { length: 'json' } })
  },
})

export const broken = definePipeline({
  name: 'broken',
  build: () => typescript('steps/broken.mts', { outputs: { nothing: 'json' } }),
})

export const slow = definePipeline({
  name: 'slow',
  params: { gate: string() },
  build: (p) => typescript('steps/slow.mts', { params: { gate: p.param('gate') }, outputs: { end: 'json' } }),
})

export const echo = defineModel({
  name: 'echo',
  description: 'Gives back what it gets',
  owner: 'owner@example.org',
  intent: { intendedUse: 'Tests', limitations: 'It knows nothing' },
  approvals: { production: 1 },
})

export const train = definePipeline({
  name: 'train',
  build: () => {
    const data = datasetVersion(numbers)
    const fit = python('steps/fit.py', {
      files: ['steps/model.b64'], lock: 'steps/requirements.lock', inputs: { numbers: data }, outputs: { model: 'onnx' },
    })
    register({ model: echo, from: fit })
  },
})

export const route = defineRoute({ name: 'echo', model: echo, slo: '50ms', inputs: { a: float64(), b: float64() } })
`

const STEP = `import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
const step = JSON.parse(readFileSync(process.env.PLIMSOLL_STEP!, 'utf8'))
`

const FILES: Readonly<Record<string, string>> = {
  'plimsoll.project.mts': PROJECT,
  'data/good.csv': 'a,b,label\n1,2,0\n3,4,1\n5,6,1\n',
  'data/damaged.csv': 'a,b,label\n1,2,0\n99,4,1\n99,4,1\n98,4,7\n',
  'steps/greet.mts': `${STEP}console.log('greeting', step.params.whom)
appendFileSync(step.events, JSON.stringify({ t: 'progress', fraction: 0.5, message: 'half way' }) + '\\n')
writeFileSync(step.outputs.greeting.path, JSON.stringify({ text: 'Hello, ' + step.params.whom }))
`,
  'steps/count.mts': `${STEP}const { text } = JSON.parse(readFileSync(step.inputs.greeting.path, 'utf8'))
appendFileSync(step.events, JSON.stringify({ t: 'progress', fraction: 1, message: 'counted' }) + '\\n')
writeFileSync(step.outputs.length.path, JSON.stringify({ length: text.length }))
`,
  'steps/broken.mts': `console.error('the reason is written here')
console.error('${FORGED_LINE}')
process.exit(7)
`,
  'steps/slow.mts': `${STEP}console.log('waiting')
while (!existsSync(step.params.gate)) await new Promise((done) => setTimeout(done, 50))
console.log('the gate is open')
writeFileSync(step.outputs.end.path, '{}')
`,
  'steps/requirements.lock': '# nothing but the standard library\n',
  'steps/fit.py': `import base64, json, os, time, urllib.request
import plimsoll_step

step = plimsoll_step.load()
print("rows in", step.input("numbers").files)
with open(os.path.join(os.path.dirname(__file__), "model.b64")) as file:
    model = base64.b64decode(file.read())
with open(step.output("model").path, "wb") as file:
    file.write(model)
body = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": "auc", "value": 0.75, "timestamp": int(time.time() * 1000)}
request = urllib.request.Request(os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric", json.dumps(body).encode(),
    {"content-type": "application/json", "authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]})
urllib.request.urlopen(request).read()
`,
  '.gitignore': '.plimsoll/\nnode_modules/\n',
}

export const GIT_IDENTITY = ['-c', 'user.name=test', '-c', 'user.email=test@example.org', '-c', 'commit.gpgsign=false']

/** Writes a project with one of each kind that needs nothing but Node and a bare Python, committed to git. */
export function writeSmallProject(folder: string): void {
  const model = Buffer.from(identityModel('FP32', ['n', 2])).toString('base64')
  for (const [path, text] of Object.entries({ ...FILES, 'steps/model.b64': model })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const git = (...args: string[]) => execFileSync('git', ['-C', folder, ...GIT_IDENTITY, ...args])
  git('init', '--quiet')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'small')
}
