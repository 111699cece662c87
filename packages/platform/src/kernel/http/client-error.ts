import type { Socket } from 'node:net'
import { formatJson } from './json.ts'

const CLIENT_ERRORS: Record<string, [string, string, string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'http.request_timeout', 'The request took too long to arrive'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'http.headers_too_large', 'The headers are too large'],
}

/** What Node's parser refuses never reaches a route: the answer is written to the socket. */
export function clientErrorHandler(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, code, detail] = CLIENT_ERRORS[error.code ?? ''] ?? [
    '400 Bad Request',
    'http.bad_request',
    'The request cannot be read',
  ]
  const body = formatJson({
    type: `/docs/errors#${code}`,
    title: status.slice(4),
    status: Number(status.slice(0, 3)),
    detail,
    code,
  })
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n${body}`,
  )
}
