import { expect, test } from 'vitest'
import { PlimsollError } from '../errors.ts'
import { ERROR_CODES } from './error-codes.ts'
import { ERRORS_PATH, renderErrorPage } from './error-page.ts'
import { problemOf, toHttpError } from './problem.ts'

test('the type of a problem leads to the row of its code on the page of errors', () => {
  const { html } = renderErrorPage()
  expect(Object.keys(ERROR_CODES).length).toBeGreaterThan(300)
  for (const [code, kinds] of Object.entries(ERROR_CODES)) {
    if (kinds[0] === 'internal') continue // shown as internal.unexpected
    const { type, status } = problemOf(new PlimsollError(kinds[0]!, code, 'A text'), 'req_1')
    const [path, id] = type.split('#')
    expect(path).toBe(ERRORS_PATH)
    const row = new RegExp(`<tr id="${id}">.*?</tr>`).exec(html)?.[0]
    expect(row, code).toContain(`<code>${code}</code>`)
    expect(row).toContain(String(status))
  }
  expect(html).toContain('<tr id="internal.unexpected">')
})

test('the page of errors carries no script, and its style alone is allowed', () => {
  const { html, contentSecurityPolicy } = renderErrorPage()
  expect(html).not.toMatch(/<script|\son[a-z]+=|\ssrc=|\shref=/)
  expect(contentSecurityPolicy).toMatch(/^default-src 'none'; style-src 'sha256-/)
})

test('a full disk answers 507 and says so', () => {
  const full = toHttpError(Object.assign(new Error('write'), { code: 'ENOSPC' }))
  expect(problemOf(full, 'req_1')).toMatchObject({
    status: 507,
    title: 'Storage is full',
    code: 'disk.full',
    action: 'Free disk space and try again',
  })
})
