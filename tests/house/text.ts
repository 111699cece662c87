const BANNED_NAMES = /(^|[-/.])(services?|utils?|helpers?|types?|managers?|common|misc|base|impl)([-.]|$)/
const LINES_MAX = 600

interface Rule {
  pattern: RegExp
  problem: string
  /** Paths where the rule holds. */
  where: (path: string) => boolean
}

const platform = (path: string) => path.startsWith('packages/platform/src/') && !/\.(test|fixture)\.ts$/.test(path)
const ours = (path: string) => /^(packages|bench|scripts|examples)\//.test(path)

const RULES: Rule[] = [
  {
    pattern:
      /\bDate\.now\(|new Date\(\)|\bMath\.random\(|\bperformance\.now\(|\brandomBytes\(|\brandomUUID\(|\bgetRandomValues\(|\brandomInt\(/,
    problem: 'time and chance come from kernel/clock and kernel/ids',
    where: (path) => platform(path) && !/kernel\/(clock|ids)\.ts$/.test(path),
  },
  {
    pattern: /\bprocess\.env\b/,
    problem: 'the environment is read by kernel/config only',
    where: (path) => platform(path) && !path.includes('/kernel/config/'),
  },
  {
    pattern: /\bconsole\.(log|error|warn|info|debug)\(/,
    problem: 'console belongs to cli and kernel/log',
    where: (path) => platform(path) && !path.includes('/src/cli/'),
  },
  { pattern: /\bsql\.raw\b/, problem: 'raw SQL text is banned: use tagged templates', where: platform },
  { pattern: /\/\/.*\b(TODO|FIXME|XXX)\b/, problem: 'unfinished place', where: ours },
  {
    pattern: /^\s*enum |^\s*namespace /m,
    problem: 'type stripping refuses enums and namespaces',
    where: (path) => path.endsWith('.ts') && ours(path),
  },
  {
    pattern: /\b(test|it|describe)\.(only|todo)\(/,
    problem: 'a test is held back',
    where: (path) => path.endsWith('.test.ts') && path !== 'tests/architecture.test.ts',
  },
]

const DOC_EXPORT = /^export (?:async )?(?:function|const|interface|type|class) (\w+)/

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
    if (path.startsWith('packages/sdk/src/define/') && path.endsWith('.ts') && !path.endsWith('.test.ts'))
      problems.push(...undocumented(path, lines))
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
