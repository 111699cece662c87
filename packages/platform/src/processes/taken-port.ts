import { createServer } from 'node:net'
import type { Config } from '../kernel/config/index.ts'
import { PlimsollError } from '../kernel/errors.ts'

function isTaken(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const server = createServer()
  // Another reason not to listen is told by the process that has to.
  server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRINUSE'))
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(false)))
  return promise
}

/**
 * Tells of a port that is in use before anything is made.
 * @throws conflict http.port_taken · unavailable serving.port_taken
 */
export async function refuseTakenPorts({ host, port, gatewayPort }: Config['server']): Promise<void> {
  const said = (taken: number) => `Cannot listen on ${host}:${taken}: the port is taken`
  const actionFor = (option: string) => ({
    action: `Stop what uses it, or choose another ${option}; 0 picks a free one`,
  })
  if (port !== 0 && (await isTaken(host, port)))
    throw new PlimsollError('conflict', 'http.port_taken', said(port), actionFor('--port'))
  if (gatewayPort !== 0 && (await isTaken(host, gatewayPort)))
    throw new PlimsollError('unavailable', 'serving.port_taken', said(gatewayPort), actionFor('--gateway-port'))
}
