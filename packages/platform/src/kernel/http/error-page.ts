import { ERROR_KINDS, type ErrorKind } from '../errors.ts'
import { ERROR_CODES } from './error-codes.ts'
import { escapeHtml, type Page, renderPage } from './page.ts'
import { TITLES } from './problem.ts'

/** Where the `type` of a problem leads, with the code as the fragment. */
export const ERRORS_PATH = '/docs/errors'

function row(id: string, name: string, kinds: readonly ErrorKind[]): string {
  const retry = kinds.some((kind) => ERROR_KINDS[kind].retry) ? 'may succeed later' : 'fails again'
  const statuses = [...new Set(kinds.map((kind) => ERROR_KINDS[kind].status))].join(', ')
  const meaning = [...new Set(kinds.map((kind) => TITLES[kind]))].join('; ')
  const cells = [`<code>${escapeHtml(name)}</code>`, kinds.join(', '), statuses, escapeHtml(meaning), retry]
  return `<tr id="${escapeHtml(id)}">${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`
}

function tableOf(rows: readonly string[]): string {
  const head = ['code', 'kind', 'status', 'meaning', 'the same request'].map((name) => `<th>${name}</th>`).join('')
  return `<table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table>`
}

let page: Page | undefined

/** Every code that a problem may have, by its domain, each where its `type` points to. Rendered when it is first asked for. */
export function renderErrorPage(): Page {
  page ??= render()
  return page
}

function render(): Page {
  const domains = new Map<string, string[]>()
  for (const [code, kinds] of Object.entries(ERROR_CODES)) {
    const domain = code.split('.')[0]!
    domains.set(domain, [...(domains.get(domain) ?? []), row(code, code, kinds)])
  }
  const sections = [...domains].map(([domain, rows]) => `<h2>${escapeHtml(domain)}</h2>${tableOf(rows)}`)
  const intro =
    '<p>A failure is <code>application/problem+json</code> (RFC 9457). Its <code>type</code> leads to the row of its <code>code</code> here; <code>detail</code> says what happened to what, <code>action</code> what to do, <code>errors</code> every fault with its pointer, and <code>instance</code> is the id under which the log has the request.</p>'
  return renderPage('Plimsoll errors', `<h1>Errors</h1>${intro}${sections.join('')}`)
}
