import { connect } from 'node:net'
import type { HostileInput } from './case.ts'

export interface Target {
  readonly port: number
  /** Goes into requests that bring no Authorization of their own. */
  readonly authorization: string | undefined
}

export interface HostileAnswer {
  /** 0 when the server closed without a word. */
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  readonly ms: number
}

const PATIENCE_MS = 30_000
const BYTES_KEPT_MAX = 1 << 20

function has(lines: readonly string[], name: string): boolean {
  return lines.some((line) => line.toLowerCase().startsWith(`${name}:`))
}

function bytesOf(input: HostileInput, target: Target): Uint8Array[] {
  const host = `127.0.0.1:${target.port}`
  if (input.raw !== undefined)
    return input.raw.map((part) => (typeof part === 'string' ? Buffer.from(part.replaceAll('{host}', host)) : part))
  const lines = (input.headers ?? []).map((line) => line.replaceAll('{host}', host))
  const body = typeof input.body === 'string' ? Buffer.from(input.body) : input.body
  if (!has(lines, 'host')) lines.unshift(`host: ${host}`)
  if (!has(lines, 'authorization') && target.authorization !== undefined)
    lines.push(`authorization: ${target.authorization}`)
  if (body !== undefined && !has(lines, 'content-length') && !has(lines, 'transfer-encoding'))
    lines.push(`content-length: ${body.length}`)
  const head = `${input.method ?? 'GET'} ${input.target ?? '/'} HTTP/1.1\r\n${lines.join('\r\n')}\r\nconnection: close\r\n\r\n`
  return [Buffer.from(head.replaceAll('{host}', host)), ...(body === undefined ? [] : [body])]
}

/** True when all of an answer's body has arrived. */
function isWhole(text: Buffer): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /^content-length: *(\d+)/im.exec(text.subarray(0, end).toString('latin1'))?.[1]
  return length !== undefined && text.length >= end + 4 + Number(length)
}

function parse(bytes: Buffer, ms: number): HostileAnswer {
  const cut = bytes.indexOf('\r\n\r\n')
  const [first = '', ...lines] = bytes
    .subarray(0, cut < 0 ? bytes.length : cut)
    .toString('latin1')
    .split('\r\n')
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
    }),
  )
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0),
    headers,
    body: cut < 0 ? '' : bytes.subarray(cut + 4).toString('utf8'),
    ms,
  }
}

/** Writes the bytes of a case to a socket of its own, and reads until the answer is whole or the server hangs up. */
export function exchange(input: HostileInput, target: Target): Promise<HostileAnswer> {
  const parts: Uint8Array[] = bytesOf(input, target)
  const last = parts.length - 1
  if (input.isStalled) parts[last] = parts[last]!.subarray(0, -1)
  const startedMs = performance.now()
  return new Promise((resolve) => {
    const socket = connect(target.port, '127.0.0.1')
    let received = Buffer.alloc(0)
    const finish = () => {
      socket.destroy()
      resolve(parse(received, performance.now() - startedMs))
    }
    socket.setTimeout(PATIENCE_MS, finish)
    socket.on('data', (chunk: Buffer) => {
      if (received.length < BYTES_KEPT_MAX) received = Buffer.concat([received, chunk])
      if (isWhole(received)) finish()
    })
    socket.on('close', finish)
    socket.on('error', finish)
    for (const part of parts) socket.write(part)
  })
}
