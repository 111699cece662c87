import { expect, test } from 'vitest'
import { formatServerUrl } from './server-url.ts'

test.each([
  ['0.0.0.0', 'http://127.0.0.1:80'],
  ['::', 'http://127.0.0.1:80'],
  ['::1', 'http://[::1]:80'],
  ['10.0.0.1', 'http://10.0.0.1:80'],
  ['localhost', 'http://localhost:80'],
])('formatServerUrl() of %s is %s', (host, url) => {
  expect(formatServerUrl(host, 80)).toBe(url)
})
