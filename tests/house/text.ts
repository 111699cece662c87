import { type Expression, parseSync, type Statement, Visitor } from 'oxc-parser'

const BANNED_NAMES = /(^|[-/.])(services?|utils?|helpers?|types?|managers?|common|misc|base|impl)([-.]|$)/
const LINES_MAX = 600

interface Rule {
  pattern: RegExp
  problem: string
  /** Paths where the rule holds. */
  where: (path: string) => boolean
}

const isTest = (path: string) => /\.(test|fixture)\.tsx?$/.test(path)
const platform = (path: string) => path.startsWith('packages/platform/src/') && !isTest(path)
/** What runs at a user's: the packages, without their tests and contracts. */
const product = (path: string) =>
  /^packages\/[a-z]+\/src\//.test(path) && !isTest(path) && !path.endsWith('.contract.ts')
const ours = (path: string) => /^(packages|bench|scripts|examples)\//.test(path)

/** Where time and chance come from: in the kernel, and one clock in the browser, which the kernel does not reach. */
const CLOCKS = /^packages\/(platform\/src\/kernel\/(clock|ids)\.ts|console\/src\/shell\/now\.tsx)$/

/** Tests of the rules themselves, which hold violations. */
const PLANTING = ['tests/architecture.test.ts', 'tests/style.test.ts']

const RULES: Rule[] = [
  {
    pattern:
      /\b(Date\.now|Math\.random|performance\.(now|timeOrigin)|process\.(hrtime|uptime)|Temporal\.Now)\b|\bnew Date\b(?!\s*\(\s*[^)\s])|(?<!new )\bDate\(\s*\)|\b(randomBytes|randomUUID|getRandomValues|randomInt|randomFill(Sync)?|hrtime)\b/,
    problem: 'time and chance come from kernel/clock and kernel/ids, in the console from shell/now',
    where: (path) => product(path) && !CLOCKS.test(path),
  },
  {
    pattern: /\bprocess\s*(\.\s*env\b|\[\s*['"`]env\b)|\{[^}]*\benv\b[^}]*\} from 'node:process'/,
    problem: 'the environment is read by kernel/config only',
    where: (path) => product(path) && !path.startsWith('packages/platform/src/kernel/config/'),
  },
  {
    pattern: /\bconsole\s*(\.\s*\w+\s*\(|\[)/,
    problem: 'console belongs to cli and kernel/log',
    where: (path) => product(path) && !/^packages\/platform\/src\/(cli\/|kernel\/log\.ts$)/.test(path),
  },
  { pattern: /\bsql\.raw\b/, problem: 'raw SQL text is banned: use tagged templates', where: platform },
  {
    pattern: /\b(TODO|FIXME|XXX)\b/,
    problem: 'unfinished place',
    where: (path) => ours(path) || (path.startsWith('tests/') && !path.startsWith('tests/house/')),
  },
  {
    pattern: /^\s*(export\s+)?(declare\s+)?(const\s+)?(enum|namespace)\s+\w+/,
    problem: 'type stripping refuses enums and namespaces',
    where: (path) => /\.m?tsx?$/.test(path) && ours(path),
  },
  {
    pattern: /\b(test|it|describe)(\.\w+)*\.(only|todo)\b/,
    problem: 'a test is held back',
    where: (path) => /\.test\.tsx?$/.test(path) && !PLANTING.includes(path),
  },
]

const DOC_EXPORT = /^export (?:declare |abstract |async )*(?:function\*?|const|let|interface|type|class) (\w+)/

/** Every violation of the textual rules of the house style. */
export function checkText(sources: ReadonlyMap<string, string>): string[] {
  const problems: string[] = []
  for (const [path, text] of sources) {
    if (path.startsWith('packages/') && BANNED_NAMES.test(path.split('/').at(-1)!))
      problems.push(`${path}: a banned word in a file name`)
    const lines = text.split('\n')
    if (lines.length > LINES_MAX) problems.push(`${path}: ${lines.length} lines (limit 600)`)
    for (const rule of RULES) {
      if (!rule.where(path)) continue
      lines.forEach((line, index) => {
        if (rule.pattern.test(line)) problems.push(`${path}:${index + 1}: ${rule.problem}`)
      })
    }
    if (path.startsWith('packages/sdk/src/') && !isTest(path)) problems.push(...undocumented(path, lines))
    if (platform(path)) problems.push(...builtInPlace(path, text))
    for (const line of commentedOut(path, text)) problems.push(`${path}:${line}: commented-out code`)
  }
  return problems
}

function undocumented(path: string, lines: readonly string[]): string[] {
  return lines.flatMap((line, index) => {
    const name = line.match(DOC_EXPORT)?.[1]
    if (name === undefined || (lines[index - 1] ?? '').trim().endsWith('*/')) return []
    return [`${path}:${index + 1}: ${name} has no doc comment`]
  })
}

const CONTRACTS = new Set(['body', 'response'])
/** Where contracts are; the shape of OpenAPI, which is not ours, comes from the server. */
const CONTRACTS_FROM = /^@plimsoll\/sdk\/wire$|\/kernel\/http\/index\.ts$/

/**
 * Bodies and responses of endpoints that are built in place or beside it. Allowed are text, a name from where contracts
 * are, and such a name extended. A file that declares no endpoint is not parsed.
 */
function builtInPlace(path: string, text: string): string[] {
  if (!/\bendpoint\(/.test(text)) return []
  const { program, module } = parseSync(path, text)
  const contracts = module.staticImports.filter(({ moduleRequest }) => CONTRACTS_FROM.test(moduleRequest.value))
  const imported = new Set(contracts.flatMap(({ entries }) => entries.map((entry) => entry.localName.value)))
  const isContract = (value: Expression): boolean => {
    if (value.type === 'Literal') return typeof value.value === 'string'
    if (value.type === 'Identifier') return imported.has(value.name)
    if (value.type !== 'CallExpression' || value.callee.type !== 'MemberExpression') return false
    const { object, property } = value.callee
    return property.type === 'Identifier' && property.name === 'extend' && isContract(object)
  }
  const problems: string[] = []
  new Visitor({
    CallExpression({ callee, arguments: [declared] }) {
      if (callee.type !== 'Identifier' || callee.name !== 'endpoint' || declared?.type !== 'ObjectExpression') return
      for (const member of declared.properties) {
        if (member.type !== 'Property' || member.key.type !== 'Identifier' || !CONTRACTS.has(member.key.name)) continue
        if (isContract(member.value)) continue
        const line = text.slice(0, member.start).split('\n').length
        problems.push(`${path}:${line}: the ${member.key.name} of an endpoint is a contract of sdk/wire`)
      }
    },
  }).visit(program)
  return problems
}

/** A comment that speaks to a tool belongs to no remark. A reference begins with a third slash. */
const DIRECTIVE = /^(\/|\s*(@|biome-))/
/** The code that we look for holds one of these: a text without them is not parsed. */
const CODE_SIGN = /[=({;]|\b(im|ex)port\b/

/** The lines of comments that begin code: all of a remark, or what follows the words before it. */
function commentedOut(path: string, text: string): number[] {
  if (!text.includes('//')) return []
  return remarksOf(path, text).flatMap(({ line, lines }) => {
    const first = lines.findIndex((_, index) => holdsCode(path, lines.slice(index).join('\n')))
    return first < 0 ? [] : [line + first]
  })
}

interface Remark {
  readonly line: number
  readonly lines: string[]
}

/** Comments `//` on whole lines that follow one another are one remark; one behind code is a remark of its own. */
function remarksOf(path: string, text: string): Remark[] {
  const remarks: Remark[] = []
  let [line, position, next] = [1, 0, 0]
  for (const { type, value, start } of parseSync(path, text).comments) {
    if (type !== 'Line' || DIRECTIVE.test(value)) continue
    line += text.slice(position, start).split('\n').length - 1
    position = start
    const isWhole = text.slice(text.lastIndexOf('\n', start) + 1, start).trim() === ''
    if (isWhole && line === next) remarks.at(-1)!.lines.push(value)
    else remarks.push({ line, lines: [value] })
    next = isWhole ? line + 1 : 0
  }
  return remarks
}

/** Whether a text is statements, and one is code. In a function `return` may stand, and in TypeScript nobody minds `import`. */
function holdsCode(path: string, text: string): boolean {
  if (!CODE_SIGN.test(text)) return false
  const lang = path.endsWith('x') ? 'tsx' : 'ts'
  const { errors, program } = parseSync(path, `async function* remark() {${text}\n}`, { lang })
  const [outer] = program.body
  return errors.length === 0 && outer?.type === 'FunctionDeclaration' && (outer.body?.body.some(isCode) ?? false)
}

/** Whether a statement is what prose never is: a word, words after a colon and a list of words are statements too. */
function isCode(statement: Statement): boolean {
  if (statement.type === 'ExpressionStatement')
    return /^((Assignment|Await|Call|Import|New|Update|Yield)Expression|JSX\w+)$/.test(statement.expression.type)
  if (statement.type === 'BlockStatement') return statement.body.some(isCode)
  return statement.type !== 'EmptyStatement' && statement.type !== 'LabeledStatement'
}
