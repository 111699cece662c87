import type { OpenApiDocument, Operation } from './open-api.ts'
import { escapeHtml, type Page, renderPage } from './page.ts'
import { membersHtml, type Schema, typeText } from './schema-text.ts'

type Content = Readonly<Record<string, { readonly schema?: Schema }>>
interface Parameter {
  readonly name: string
  readonly in: string
  readonly required: boolean
  readonly schema: Schema
}

/** What an operation takes or gives, under what it is called. */
function contentHtml(title: string, content: Content): string {
  return Object.entries(content)
    .map(([mediaType, { schema }]) => {
      const isJson = mediaType === 'application/json' && schema !== undefined
      const type = isJson ? typeText(schema) : mediaType
      return `<h4>${escapeHtml(title)}</h4><p>${escapeHtml(type)}</p>${isJson ? membersHtml(schema) : ''}`
    })
    .join('')
}

function parametersHtml(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return ''
  const rows = parameters.map(({ name, in: place, required, schema }) => {
    const preset = schema.default === undefined ? '' : `, ${JSON.stringify(schema.default)} when absent`
    const text = `${typeText(schema)}${preset}${required || preset !== '' ? '' : ', optional'}`
    return `<li><code>${escapeHtml(name)}</code> ${escapeHtml(text)}, in the ${escapeHtml(place)}</li>`
  })
  return `<h4>Parameters</h4><ul>${rows.join('')}</ul>`
}

function operationHtml(path: string, method: string, operation: Operation): string {
  const { parameters, requestBody, responses } = operation
  const answers = Object.entries(responses as Record<string, { content?: Content; description: string }>)
    .filter(([status]) => status !== 'default') // a problem, told once above
    .map(([status, { content, description }]) =>
      content ? contentHtml(`Answer ${status}`, content) : `<h4>Answer ${status}</h4><p>${escapeHtml(description)}</p>`,
    )
  const body = requestBody ? contentHtml('Body', (requestBody as { content: Content }).content) : ''
  const contract = parametersHtml(parameters as Parameter[]) + body + answers.join('')
  return `<details><summary><span class="m">${method.toUpperCase()}</span> <code>${escapeHtml(path)}</code> — ${escapeHtml(operation.summary)}<span class="s">${escapeHtml(operation['x-scope'])}</span></summary>${contract}</details>`
}

/** Schemas that others name: of problems, and those that hold themselves. */
function sharedHtml({ components }: OpenApiDocument): string {
  const { schemas } = components as { schemas: Readonly<Record<string, Schema>> }
  const entries = Object.entries(schemas).map(
    ([name, schema]) =>
      `<details><summary><code>${escapeHtml(name)}</code> — ${escapeHtml(typeText(schema))}</summary>${membersHtml(schema)}</details>`,
  )
  return `<section><h2>Named types</h2>${entries.join('')}</section>`
}

/** The API as one readable page without scripts or outside assets; its style is allowed by hash. */
export function renderApiPage(document: OpenApiDocument): Page {
  const byTag = new Map<string, string[]>()
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags[0]!
      byTag.set(tag, [...(byTag.get(tag) ?? []), operationHtml(path, method, operation)])
    }
  }
  const sections = [...byTag]
    .map(([tag, entries]) => `<section><h2>${escapeHtml(tag.replaceAll('-', ' '))}</h2>${entries.join('')}</section>`)
    .join('')
  const intro = `<p>Every operation with the role it asks for. The project comes from the header <code>X-Plimsoll-Project</code>. A failure is a <code>Problem</code>, whose codes are <a href="/docs/errors">listed</a>. The same as data: <a href="/api/v1/openapi.json">OpenAPI 3.1</a>.</p>`
  return renderPage(
    `${document.info.title} API`,
    `<h1>${escapeHtml(document.info.title)} ${escapeHtml(document.info.version)}</h1>${intro}${sections}${sharedHtml(document)}`,
  )
}
