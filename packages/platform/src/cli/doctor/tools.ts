import { isPlimsollError } from '../../kernel/errors.ts'
import { type Finding, findBinary, output } from './finding.ts'

const INDEX_TIMEOUT_SECONDS = '5'

async function toolFinding(name: string, binary: string, cost: string): Promise<Finding> {
  const path = findBinary([binary])
  if (path === undefined) return { group: 'needed', name, state: 'missing', found: 'not found', cost }
  const version = (await output(path, ['--version']))?.split('\n')[0]
  if (version === undefined)
    return { group: 'needed', name, state: 'missing', found: `${path} does not answer --version`, cost }
  return { group: 'needed', name, state: 'ok', found: version.startsWith(name) ? version : `${version} at ${path}` }
}

/** Whether the packages of a lock could be installed, asked by pip itself: it knows its index, proxy and certificates. */
async function indexFinding(python: string): Promise<Finding> {
  const about = { group: 'needed', name: 'package index' } as const
  const asked = ['-I', '-m', 'pip', 'index', 'versions', 'pip', '--disable-pip-version-check', '--no-input']
  const answer = await output(python, [...asked, '--retries', '0', '--timeout', INDEX_TIMEOUT_SECONDS])
  if (answer !== undefined) return { ...about, state: 'ok', found: 'answers pip' }
  return {
    ...about,
    state: 'missing',
    found: 'does not answer pip',
    cost: 'Python steps whose environment was not made before cannot run. Check the network, or name an index in pip.conf or PIP_INDEX_URL',
  }
}

/** The interpreter that steps will get, whether it can make environments, and whether packages can be had. */
async function pythonFindings(): Promise<Finding[]> {
  const about = { group: 'needed', name: 'Python' } as const
  const { findPython } = await import('../../processes/native-probe.ts')
  try {
    const { path, version } = await findPython()
    const venv = await output(path, ['-I', '-c', 'import venv, ensurepip; print("ok")'])
    if (venv !== 'ok')
      return [
        {
          ...about,
          state: 'problem',
          found: `${version} at ${path}, without venv or ensurepip`,
          cost: 'Environments of Python steps cannot be made. Debian: apt install python3-venv',
        },
      ]
    return [
      { ...about, state: 'ok', found: `${version} at ${path}, with venv and ensurepip` },
      await indexFinding(path),
    ]
  } catch (thrown) {
    if (!isPlimsollError(thrown)) throw thrown
    const found = thrown.code === 'python.missing' ? 'not found' : thrown.message
    return [
      { ...about, state: 'problem', found, cost: `Python steps cannot run. ${thrown.details.action ?? ''}`.trim() },
    ]
  }
}

/** Node, npm, Python, the package index, git. */
export async function toolFindings(): Promise<Finding[]> {
  const [npm, python, git] = await Promise.all([
    toolFinding('npm', 'npm', 'Packages cannot be installed or updated'),
    pythonFindings(),
    toolFinding('git', 'git', 'Passports lack the commit of the code, and without it nothing can be released'),
  ])
  return [
    { group: 'needed', name: 'Node', state: 'ok', found: `${process.versions.node} at ${process.execPath}` },
    npm,
    ...python,
    git,
  ]
}

type Library = readonly [name: string, load: () => Promise<unknown>, cost: string]

const LIBRARIES: readonly Library[] = [
  [
    'DuckDB',
    () => import('../../processes/native-probe.ts').then((probe) => probe.loadDuckdb()),
    'Datasets, features and training sets do not work',
  ],
  [
    'LMDB',
    () => import('../../processes/native-probe.ts').then((probe) => probe.loadLmdb()),
    'The embedded online store does not work',
  ],
  [
    'ONNX Runtime',
    () => import('../../processes/native-probe.ts').then((probe) => probe.loadOnnx()),
    'Models cannot be checked or served here',
  ],
]

/** Native libraries, each loaded as its adapter does it. */
export async function libraryFindings(): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [name, load, cost] of LIBRARIES) {
    try {
      await load()
      findings.push({ group: 'libraries', name, state: 'ok', found: 'loads' })
    } catch (error) {
      const found = String((error as Error).message).split('\n')[0]!
      findings.push({
        group: 'libraries',
        name,
        state: 'problem',
        found,
        cost: `${cost}. Run npm ci for this platform, with npm 9.6.5 or newer`,
      })
    }
  }
  return findings
}
