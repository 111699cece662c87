/** A command line, and how it must end. `{dir}` is the working folder, `{garbage}` a server that answers nonsense. */
export interface CliCase {
  readonly name: string
  readonly input: readonly string[]
  readonly expect: { readonly status: number; readonly code: string; readonly says: RegExp }
}

/** A leaf of the tree of commands: its words, and one good argument for each that it needs. */
export interface CliCommand {
  readonly words: readonly string[]
  readonly args: readonly string[]
  /** It does nothing without a server. */
  readonly isRemote: boolean
}

const USAGE = 2

/** What every command must say to odd arguments. */
export function generatedCases(commands: readonly CliCommand[]): CliCase[] {
  return commands.flatMap(({ words, args, isRemote }) => {
    const name = words.join(' ')
    const usage = (what: string, more: readonly string[], says: RegExp): CliCase => ({
      name: `${name}: ${what}`,
      input: [...words, ...more],
      expect: { status: USAGE, code: 'cli.usage', says },
    })
    const common = [
      usage('an unknown option', [...args, '--nonsense'], /unknown option '--nonsense'/),
      usage('too many arguments', [...args, ...Array.from({ length: 9 }, () => 'x')], /too many arguments/),
      ...(args.length > 0 ? [usage('no arguments', [], /missing required argument/)] : []),
    ]
    if (!isRemote) return common
    return [
      ...common,
      usage('an option without its value', [...args, '--server'], /argument missing/),
      usage('an address that is none', [...args, '--server', 'localhost:7440'], /no http:\/\/ or https:\/\/ address/),
      usage('an address of files', [...args, '--server', 'file:///etc/passwd'], /no http:\/\/ or https:\/\/ address/),
      {
        name: `${name}: a data directory where nothing runs`,
        input: [...words, ...args, '--data-dir', '{dir}'],
        expect: {
          status: 5,
          code: 'client.unreachable',
          says: /Cannot find a running server in .*plimsoll up --data-dir/,
        },
      },
      usage(
        'a data directory that is not there',
        [...args, '--data-dir', '{dir}/absent'],
        /Cannot find a running server/,
      ),
      usage(
        'a data directory that is a file',
        [...args, '--data-dir', '{dir}/file.txt'],
        /Cannot find a running server/,
      ),
      usage('a data directory that is damaged', [...args, '--data-dir', '{dir}/damaged'], /it is damaged/),
      usage(
        'a token file that is not there',
        [...args, '--server', 'http://127.0.0.1:1', '--token-file', '{dir}/absent'],
        /Cannot read the token file/,
      ),
      usage(
        'a token file that is a folder',
        [...args, '--server', 'http://127.0.0.1:1', '--token-file', '{dir}'],
        /Cannot read the token file/,
      ),
      usage(
        'a token file that is empty',
        [...args, '--server', 'http://127.0.0.1:1', '--token-file', '{dir}/empty'],
        /Cannot read the token file/,
      ),
      usage(
        'a token file that others may read',
        [...args, '--server', 'http://127.0.0.1:1', '--token-file', '{dir}/open.token'],
        /others may read it.*chmod 600/,
      ),
      usage(
        'a token file of many words',
        [...args, '--server', 'http://127.0.0.1:1', '--token-file', '{dir}/words.token'],
        /not one word/,
      ),
      usage(
        'a project that is no name',
        [...args, '--server', 'http://127.0.0.1:1', '--project', '../x'],
        /Cannot use "..\/x" as a project/,
      ),
    ]
  })
}

/** Commands that answer to a server which is none of ours; each asks once or is repeated without harm. */
const TALKING: readonly (readonly string[])[] = [
  ['dataset', 'list'],
  ['run', 'list'],
  ['model', 'list'],
  ['key', 'list'],
  ['token', 'list'],
  ['audit', 'list'],
  ['dead-letter', 'list'],
  ['token', 'create', 'ada'],
  ['explain', '1'],
  ['model', 'show', 'a', '1'],
]

export const CLI_CASES: readonly CliCase[] = [
  ...TALKING.flatMap((words) =>
    ['html', 'empty', 'list', 'null', 'object', 'cut'].map((kind) => ({
      name: `${words.join(' ')}: a server that answers ${kind}`,
      input: [...words, '--server', `{garbage}/${kind}`],
      expect: { status: 5, code: 'client.bad_answer', says: /no JSON|is not the expected one/ },
    })),
  ),
  {
    name: 'a server that is not there',
    input: ['dataset', 'list', '--server', 'http://127.0.0.1:1'],
    expect: { status: 5, code: 'client.unreachable', says: /Cannot reach http:\/\/127\.0\.0\.1:1: .*plimsoll up/ },
  },
  {
    name: 'a server that answers 500',
    input: ['token', 'create', 'ada', '--server', '{garbage}/500'],
    expect: { status: 5, code: 'http.500', says: /answered 500/ },
  },
  {
    name: 'a server that sends elsewhere',
    input: ['token', 'create', 'ada', '--server', '{garbage}/302'],
    expect: { status: 5, code: 'client.unreachable', says: /Cannot reach/ },
  },
  {
    name: 'a server whose text steers terminals',
    input: ['token', 'create', 'ada', '--server', '{garbage}/escape'],
    expect: { status: 1, code: 'evil.code', says: /\\u001b\[2J/ },
  },
  {
    name: 'a misspelt command',
    input: ['rum'],
    expect: { status: USAGE, code: 'cli.usage', says: /unknown command 'rum'.*Did you mean run\?/ },
  },
  {
    name: 'a misspelt command of a group',
    input: ['dataset', 'lst'],
    expect: { status: USAGE, code: 'cli.usage', says: /Did you mean list\?/ },
  },
  {
    name: 'help on a command of the prototype',
    input: ['help', '__proto__'],
    expect: { status: USAGE, code: 'cli.usage', says: /unknown command '__proto__'/ },
  },
  {
    name: 'doctor of an address that is none',
    input: ['doctor', '--server', 'localhost:7440'],
    expect: { status: USAGE, code: 'cli.usage', says: /no http:\/\/ or https:\/\/ address/ },
  },
  {
    name: 'doctor with a token file that is not there',
    input: ['doctor', '--server', 'http://127.0.0.1:1', '--token-file', '{dir}/absent'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot read the token file/ },
  },
  {
    name: 'a command of the prototype',
    input: ['__proto__'],
    expect: { status: USAGE, code: 'cli.usage', says: /unknown command '__proto__'/ },
  },
  {
    name: 'a command that is a text of 10,000 characters',
    input: ['x'.repeat(10_000)],
    expect: { status: USAGE, code: 'cli.usage', says: /unknown command/ },
  },
  { name: 'an empty command', input: [''], expect: { status: USAGE, code: 'cli.usage', says: /unknown command/ } },
  {
    name: 'plan of a folder that is not there',
    input: ['plan', '{dir}/absent', '--server', 'http://127.0.0.1:1'],
    expect: { status: 1, code: 'definitions.no_folder', says: /Cannot find the folder/ },
  },
  {
    name: 'plan of a file',
    input: ['plan', '{dir}/file.txt', '--server', 'http://127.0.0.1:1'],
    expect: { status: 1, code: 'definitions.no_folder', says: /Cannot find the folder/ },
  },
  {
    name: 'plan of an empty folder',
    input: ['plan', '{dir}/nothing', '--server', 'http://127.0.0.1:1'],
    expect: { status: 1, code: 'definitions.no_project', says: /plimsoll init/ },
  },
  {
    name: 'init of a name that is none',
    input: ['init', '{dir}/new', '--name', '../x'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot use "..\/x" as the name/ },
  },
  {
    name: 'init where no folder can be made',
    input: ['init', '/proc/plimsoll/x', '--name', 'a'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot write a project into .*: .*(ENOENT|ENOTDIR|EACCES)/ },
  },
  {
    name: 'init where a file is',
    input: ['init', '{dir}/file.txt', '--name', 'a'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot write a project into/ },
  },
  {
    name: 'a key that is not there',
    input: ['key', 'add', 'ada', '{dir}/absent', '--server', 'http://127.0.0.1:1'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot read/ },
  },
  {
    name: 'a key that is a folder',
    input: ['key', 'add', 'ada', '{dir}', '--server', 'http://127.0.0.1:1'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot read/ },
  },
  {
    name: 'a key that is private',
    input: ['key', 'add', 'ada', '{dir}/private', '--server', 'http://127.0.0.1:1'],
    expect: { status: USAGE, code: 'cli.usage', says: /is a private key/ },
  },
  {
    name: 'a key to sign with that is not there',
    input: ['release', 'a', '1', '--reason', 'x', '--server', 'http://127.0.0.1:1', '--sign-with', '{dir}/absent'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot sign/ },
  },
  {
    name: 'a token into a folder that is not there',
    input: ['token', 'create', 'ada', '--server', 'http://127.0.0.1:1', '--out', '{dir}/absent/token'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot write the token/ },
  },
  {
    name: 'a token over a file',
    input: ['token', 'create', 'ada', '--server', 'http://127.0.0.1:1', '--out', '{dir}/file.txt'],
    expect: { status: USAGE, code: 'cli.usage', says: /the file exists/ },
  },
  {
    name: 'days that are no number',
    input: ['token', 'create', 'ada', '--server', 'http://127.0.0.1:1', '--days', 'x'],
    expect: { status: USAGE, code: 'cli.usage', says: /--days/ },
  },
  {
    name: 'a row that is no JSON',
    input: ['predict', 'a', '{bad', '--server', 'http://127.0.0.1:1', '--gateway', 'http://127.0.0.1:1'],
    expect: { status: USAGE, code: 'cli.usage', says: /is not JSON/ },
  },
  {
    name: 'no gateway',
    input: ['predict', 'a', '{}', '--server', 'http://127.0.0.1:1'],
    expect: { status: USAGE, code: 'cli.usage', says: /Cannot find the gateway/ },
  },
  {
    name: 'a param without a value',
    input: ['run', 'start', 'a', '--server', 'http://127.0.0.1:1', '--param', 'trees'],
    expect: { status: USAGE, code: 'cli.usage', says: /expected name=value/ },
  },
  ...(
    [
      ['a param beyond the range of numbers', 'x=1e400', /Cannot read --param x=1e400: a number is too large/],
      ['a param with such a number inside', 'x={"a":[-1e999]}', /a number is too large/],
      ['a param that would be rounded', 'x=9007199254740993', /would be rounded/],
      ['a param called __proto__', '__proto__=1', /--param __proto__=1: no param has this name/],
      ['a param with a member __proto__', 'x={"__proto__":{"a":1}}', /it has a member __proto__/],
      ['a param with a name that is a path', '../x=1', /no param has this name/],
    ] as const
  ).map(([name, param, says]) => ({
    name,
    input: ['run', 'start', 'a', '--server', 'http://127.0.0.1:1', '--param', param],
    expect: { status: USAGE, code: 'cli.usage', says },
  })),
  {
    name: 'a param given twice',
    input: ['run', 'start', 'a', '--server', 'http://127.0.0.1:1', '--param', 'x=1', '--param', 'x=2'],
    expect: { status: USAGE, code: 'cli.usage', says: /x is given twice/ },
  },
  {
    name: 'a row with a number beyond the range',
    input: ['predict', 'a', '{"x":1e400}', '--gateway', 'http://127.0.0.1:1', '--server', 'http://127.0.0.1:1'],
    expect: { status: USAGE, code: 'cli.usage', says: /a number is too large/ },
  },
  {
    name: 'a param without a name',
    input: ['run', 'start', 'a', '--server', 'http://127.0.0.1:1', '--param', '=1'],
    expect: { status: USAGE, code: 'cli.usage', says: /expected name=value/ },
  },
  {
    name: 'a step without a run',
    input: ['step', 'show', 'a', '--server', 'http://127.0.0.1:1'],
    expect: { status: USAGE, code: 'cli.usage', says: /RUN\/STEP/ },
  },
  {
    name: 'a step with a path',
    input: ['step', 'show', 'a/b/c', '--server', 'http://127.0.0.1:1'],
    expect: { status: USAGE, code: 'cli.usage', says: /RUN\/STEP/ },
  },
  {
    name: 'up on a port of letters',
    input: ['up', '--data-dir', '{dir}/up', '--port', 'http'],
    expect: { status: USAGE, code: 'config.invalid', says: /\/server\/port/ },
  },
  {
    name: 'up on a port beyond all ports',
    input: ['up', '--data-dir', '{dir}/up', '--port', '70000'],
    expect: { status: USAGE, code: 'config.invalid', says: /\/server\/port/ },
  },
  {
    name: 'up on all addresses',
    input: ['up', '--data-dir', '{dir}/up', '--host', '0.0.0.0'],
    expect: { status: USAGE, code: 'config.invalid', says: /\/auth\/requireToken/ },
  },
  {
    name: 'up with settings that are not there',
    input: ['up', '--data-dir', '{dir}/up', '--config', '{dir}/absent.yaml'],
    expect: { status: USAGE, code: 'config.invalid', says: /absent\.yaml/ },
  },
  {
    name: 'up with settings that are a folder',
    input: ['up', '--data-dir', '{dir}/up', '--config', '{dir}'],
    expect: { status: USAGE, code: 'config.invalid', says: /config/i },
  },
  {
    name: 'up with settings that are a bomb',
    input: ['up', '--data-dir', '{dir}/up', '--config', '{dir}/bomb.yaml'],
    expect: { status: USAGE, code: 'config.invalid', says: /bomb\.yaml|alias/i },
  },
  {
    name: 'up with settings that are unknown',
    input: ['up', '--data-dir', '{dir}/up', '--config', '{dir}/unknown.yaml'],
    expect: { status: USAGE, code: 'config.invalid', says: /nonsense/ },
  },
  {
    name: 'up at a time that is none',
    input: ['up', '--data-dir', '{dir}/up', '--replay-origin', 'yesterday'],
    expect: { status: USAGE, code: 'cli.usage', says: /--replay-origin/ },
  },
  {
    name: 'up at a time that only a lenient reader takes',
    input: ['up', '--data-dir', '{dir}/up', '--replay-origin', '5'],
    expect: { status: USAGE, code: 'cli.usage', says: /--replay-origin/ },
  },
  {
    name: 'up at a rate of nothing',
    input: ['up', '--data-dir', '{dir}/up', '--replay-origin', '2001-01-01T00:00:00Z', '--replay-rate', '0'],
    expect: { status: USAGE, code: 'cli.usage', says: /--replay-rate/ },
  },
  {
    name: 'up in a file',
    input: ['up', '--data-dir', '{dir}/file.txt', '--port', '0', '--gateway-port', '0', '--grpc-port', '0'],
    expect: { status: USAGE, code: 'config.invalid', says: /file\.txt/ },
  },
]
