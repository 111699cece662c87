import { createServer } from 'node:net'
import type { Config } from '../kernel/config/index.ts'
import { portTaken } from '../kernel/http/taken-port.ts'

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
 * @throws conflict http.port_taken
 */
export async function refuseTakenPorts({ host, port, gatewayPort }: Config['server']): Promise<void> {
  if (port !== 0 && (await isTaken(host, port))) throw portTaken(host, port, '--port')
  if (gatewayPort !== 0 && (await isTaken(host, gatewayPort))) throw portTaken(host, gatewayPort, '--gateway-port')
}
