import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import type { z } from 'zod'
import { COMMANDS } from '../packages/platform/src/cli/commands.ts'
import { auditEndpoints, authEndpoints } from '../packages/platform/src/kernel/auth/index.ts'
import { newSigningKey } from '../packages/platform/src/kernel/auth/verify/index.ts'
import { type Config, SETTINGS, settings } from '../packages/platform/src/kernel/config/index.ts'
import { declaredEvents } from '../packages/platform/src/kernel/db/index.ts'
import { ERROR_KINDS } from '../packages/platform/src/kernel/errors.ts'
import { type AnyEndpoint, openApiDocument } from '../packages/platform/src/kernel/http/index.ts'
import { openDomains } from '../packages/platform/src/processes/domains.ts'
import { platformEndpoints } from '../packages/platform/src/processes/platform-endpoints.ts'
import { mlflowRegistryEndpoints } from '../packages/platform/src/registry/index.ts'
import { mlflowTrackingEndpoints } from '../packages/platform/src/tracking/index.ts'
import { readErrorCodes } from './docs-errors.ts'

const MADE = '<!-- Made by npm run docs from the code; do not edit. -->\n'

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}

function tableOf(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`
  return [line(header), `|${'---|'.repeat(header.length)}`, ...rows.map(line)].join('\n')
}

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({
    writeOut: (piece) => {
      text += piece
    },
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return text.trim()
}

function cliPage(): string {
  const program = new Command('plimsoll')
  for (const add of COMMANDS) add(program)
  const rows: string[][] = []
  const sections: string[] = []
  const walk = (command: Command, path: string) => {
    const inner = command.commands
    if (inner.length > 0) {
      for (const one of inner) walk(one, `${path} ${one.name()}`)
      return
    }
    rows.push([`[\`${path}\`](#${path.replaceAll(' ', '-')})`, command.description()])
    sections.push(`## ${path}\n\n\`\`\`\n${helpOf(command)}\n\`\`\``)
  }
  for (const command of program.commands) walk(command, `plimsoll ${command.name()}`)
  return `${MADE}
# Commands

Every command takes \`--help\` and \`--json\`: one line of JSON on standard output, and failures as one line of JSON on
standard error, after the id of the run where a command starts one and follows it. Progress is shown on a terminal only. The server is the one that \`--server\`, \`PLIMSOLL_SERVER\`,
\`--data-dir\`, \`PLIMSOLL_DATA_DIR\` or the nearest \`.plimsoll\` upwards names.

${tableOf(
  ['exit status', 'meaning'],
  [
    ['0', 'ok'],
    ['1', 'failed: the request was refused, or what it waited for did not succeed'],
    ['2', 'usage: the command was called wrongly, nothing was sent'],
    ['3', 'a gate said no: the request is fine, and the mark does not allow it'],
    ['4', 'inconclusive; no command of this release ends so'],
    ['5', 'infrastructure: no answer, no port, no disk, or a tool that is missing'],
    ['130', 'interrupted by Ctrl-C while waiting; the run goes on'],
  ],
)}

${tableOf(['command', 'what it does'], rows)}

${sections.join('\n\n')}
`
}

function endpointsOf(config: Config): AnyEndpoint[] {
  const absent = undefined as never // handlers use it, declarations do not
  const domains = openDomains({
    config,
    ctx: absent,
    blobs: absent,
    signingKey: newSigningKey(),
    replay: undefined,
    paths: { runs: '', environments: '', online: '', secrets: '' },
  })
  const endpoints = [...authEndpoints(config.auth), ...auditEndpoints('', []), ...domains.endpoints]
  return [...platformEndpoints({ endpoints, metrics: absent, replayRate: undefined }), ...endpoints]
}

interface Described {
  name: string
  in: string
  required: boolean
  schema: { type?: string; enum?: unknown[]; default?: unknown }
}

function memberText({ name, required, schema }: Described): string {
  const kind = schema.enum ? schema.enum.map(String).join(', ') : (schema.type ?? 'any')
  const rest =
    schema.default !== undefined ? `, ${JSON.stringify(schema.default)} when absent` : required ? ', required' : ''
  return `\`${name}\` (${kind}${rest})`
}

/** Names of a JSON body, those that must be given in front. */
function bodyText(body: unknown): string {
  const schema = (body as { content?: Record<string, { schema?: Record<string, unknown> }> } | undefined)?.content
  if (schema === undefined) return ''
  if (schema['application/octet-stream']) return 'the bytes themselves'
  const json = schema['application/json']?.schema ?? {}
  const forms = (json.anyOf ?? json.oneOf ?? [json]) as { properties?: object; required?: string[] }[]
  return forms
    .map(({ properties = {}, required = [] }) =>
      Object.keys(properties)
        .map((name) => `\`${name}\`${required.includes(name) ? '' : '?'}`)
        .join(', '),
    )
    .join(' — or ')
}

function httpPage(config: Config): string {
  const endpoints = endpointsOf(config)
  const document = openApiDocument(endpoints, { title: 'Plimsoll', version: '' })
  const byTag = new Map<string, string[]>()
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const query = (operation.parameters as Described[]).filter((one) => one.in === 'query').map(memberText)
      const body = bodyText(operation.requestBody)
      const lines = [
        `### ${method.toUpperCase()} ${path}`,
        `${operation.summary}. Scope: \`${operation['x-scope']}\`.`,
        ...(query.length > 0 ? [`Query: ${query.join(', ')}.`] : []),
        ...(body === '' ? [] : [`Body: ${body}.`]),
      ]
      const tag = operation.tags[0]!
      byTag.set(tag, [...(byTag.get(tag) ?? []), lines.join('\n\n')])
    }
  }
  const sections = [...byTag].sort(([a], [b]) => (a < b ? -1 : 1))
  const none = { blobs: undefined as never } // handlers use it, declarations do not
  const mlflow = [...mlflowTrackingEndpoints(none), ...mlflowRegistryEndpoints(none)]
  return `${MADE}
# HTTP API

The API of the control plane. A running platform shows the same with every schema as a page at \`/api\` and as OpenAPI 3.1 at
\`/api/v1/openapi.json\`. The project comes from the header \`X-Plimsoll-Project\`, \`default\` when absent. A scope is the role
that a caller needs; \`platform\` is any role on all projects; \`named:\` asks for a person or program that is known by name (a token, an SSH signature, OIDC). Failures
are [problems](errors.md). What the gateway answers is in [Serving](../guide/serving.md).

${sections.map(([tag, entries]) => `## ${tag}\n\n${entries.join('\n\n')}`).join('\n\n')}

## MLflow's surface

What the unmodified \`mlflow\` client calls, below \`/api/2.0\`, and its twin below \`/ajax-api/2.0\`. Errors have MLflow's shape:
\`error_code\` and \`message\`.

${tableOf(
  ['method', 'path', 'access'],
  mlflow.map(({ method, path, access }) => [method, `\`${path}\``, access]),
)}
`
}

function rangeOf(schema: z.ZodType): string {
  const json = schema.toJSONSchema({ unrepresentable: 'any' }) as {
    type?: string
    enum?: unknown[]
    minimum?: number
    maximum?: number
    maxLength?: number
    format?: string
  }
  if (json.enum) return json.enum.map(String).join(', ')
  if (json.minimum !== undefined) return `${json.type} from ${json.minimum} to ${json.maximum}`
  return [json.type ?? 'any', json.format].filter((part) => part !== undefined).join(', ')
}

function configPage(config: Config): string {
  const valueAt = (path: readonly string[]) =>
    path.reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], config)
  const rows = SETTINGS.map(({ path, name, schema, isSecret }) => {
    const value = path.join('.') === 'dataDir' ? '.plimsoll' : valueAt(path)
    return [
      `\`${path.join('.')}\``,
      `\`${name}\``,
      isSecret ? 'secret' : rangeOf(schema),
      value === undefined ? '' : `\`${JSON.stringify(value)}\``,
    ]
  })
  return `${MADE}
# Configuration

Settings come from flags, the environment, and the file \`plimsoll.yaml\` in the data directory (or \`--config\`), in that
order; the rest are defaults. Every problem of every source is told at once, and \`plimsoll up\` does not start with one.
Secrets are never printed. In the environment a list is separated by commas.

${tableOf(['setting', 'environment', 'values', 'default'], rows)}

What the command line reads: \`PLIMSOLL_DATA_DIR\` (which names a running server too) and beside them \`PLIMSOLL_SERVER\`, \`PLIMSOLL_TOKEN\`, \`PLIMSOLL_PROJECT\`, \`PLIMSOLL_CONFIG\`.
`
}

function errorsPage(root: string): string {
  const codes = readErrorCodes(root)
  const statusOf = (code: string, kind: keyof typeof ERROR_KINDS) =>
    code === 'http.request_timeout' ? 408 : code === 'http.headers_too_large' ? 431 : ERROR_KINDS[kind].status
  const domains = [...new Set(codes.map(({ code }) => code.split('.')[0]!))]
  const sections = domains.map((domain) => {
    const rows = codes
      .filter(({ code }) => code.startsWith(`${domain}.`))
      .map(({ code, kinds, files }) => [
        `<a id="${code}"></a>\`${code}\``,
        [...kinds].sort().join(', '),
        [...new Set([...kinds].map((kind) => statusOf(code, kind)))].sort().join(', '),
        [...files].map((file) => `\`${file}\``).join(', '),
      ])
    return `## ${domain}\n\n${tableOf(['code', 'kind', 'status', 'thrown in'], rows)}`
  })
  return `${MADE}
# Errors

A failure is \`application/problem+json\` (RFC 9457): \`type\`, \`title\`, \`status\`, \`detail\`, \`instance\` (the id of the request,
under which the log has it), and beside them \`code\` (stable), \`errors\` (every fault with a JSON pointer), \`action\` (what to do)
and \`retry_after_ms\`. A running platform serves the codes where \`type\` leads, \`/docs/errors\`; the part behind \`#\` is also an
anchor of this page. Other surfaces have the shapes of their
protocols. Files are below \`packages/platform/src\`.

${tableOf(
  ['kind', 'status', 'the same request may succeed later'],
  Object.entries(ERROR_KINDS).map(([kind, { status, retry }]) => [kind, String(status), retry ? 'yes' : 'no']),
)}

${sections.join('\n\n')}

## client

What the typed client says by itself: <a id="client.unreachable"></a>\`client.unreachable\` (nothing answers),
<a id="client.timeout"></a>\`client.timeout\` (no answer in time), <a id="client.bad_answer"></a>\`client.bad_answer\` (an answer that
is not the expected one). The command line adds <a id="cli.usage"></a>\`cli.usage\`.
`
}

interface DataSchema {
  type?: string
  enum?: string[]
  pattern?: string
  anyOf?: DataSchema[]
  properties?: Record<string, DataSchema>
  required?: string[]
}

function dataKind({ anyOf, enum: values, pattern, type }: DataSchema): string {
  if (anyOf) return anyOf.map(dataKind).join(' or ')
  return values?.join(', ') ?? (pattern?.includes('sha256:') ? 'digest' : (type ?? 'any'))
}

/** The events of the domains, all of which are loaded; where a test runs beside this, others are declared too. */
function eventsPage(root: string): string {
  const files = globSync('packages/platform/src/**/events.ts', { cwd: root })
  const declarations = files.map((path) => readFileSync(join(root, path), 'utf8')).join('\n')
  const events = [...declaredEvents()].filter(([type]) => declarations.includes(`'${type}': {`))
  const rooms = Map.groupBy(events, ([type]) => type.split('.')[0]!)
  const sections = [...rooms].sort().map(([room, events]) => {
    const rows = events.map(([type, { happened, subject, data }]) => {
      const { properties = {}, required = [] } = data.toJSONSchema() as DataSchema // of a strict object
      const members = Object.entries(properties).map(
        ([name, member]) => `\`${name}\`${required.includes(name) ? '' : '?'} (${dataKind(member)})`,
      )
      return [`\`${type}\``, happened, subject, members.join(', ')]
    })
    return `## ${room}\n\n${tableOf(['type', 'what has happened', 'subject', 'data'], rows.sort())}`
  })
  return `${MADE}
# Events

What the platform tells itself: a row of the outbox, written in the transaction that changed something, is delivered to each
consumer at least once, those of one subject in order. An event that a consumer gives up on is a
[dead letter](../guide/operating.md#dead-letters), which \`plimsoll dead-letter list\` shows with its type and subject. Nothing
outside the platform reads events, so they change with releases. No part of this release consumes them one by one: that they
were written tells when a new snapshot of what should serve may be due. Members with \`?\` may be absent.

${sections.join('\n\n')}
`
}

/** The codes as the platform itself knows them, to serve the page that problems point to. */
function errorCodesModule(root: string): string {
  const lines = readErrorCodes(root).map(({ code, kinds }) => {
    const list = [...kinds].sort().map((kind) => `'${kind}'`)
    return `  '${code}': [${list.join(', ')}],`
  })
  return `// Made by npm run docs from the code; do not edit.
import type { ErrorKind } from '../errors.ts'

/** Every code that is thrown, and the kinds that it is thrown as. */
export const ERROR_CODES: Readonly<Record<string, readonly ErrorKind[]>> = {
${lines.join('\n')}
}
`
}

/** Every page of the reference by its path, made from the code. */
export function referencePages(root: string): Map<string, string> {
  const config = settings.parse({})
  return new Map([
    ['docs/reference/cli.md', cliPage()],
    ['docs/reference/http.md', httpPage(config)],
    ['docs/reference/configuration.md', configPage(config)],
    ['docs/reference/errors.md', errorsPage(root)],
    ['docs/reference/events.md', eventsPage(root)],
    ['packages/platform/src/kernel/http/error-codes.ts', errorCodesModule(root)],
  ])
}
