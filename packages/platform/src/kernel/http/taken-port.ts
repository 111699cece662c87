import { PlimsollError } from '../errors.ts'

/** Somebody listens there; `option` chooses another port. */
export function portTaken(host: string, port: number, option: '--port' | '--gateway-port'): PlimsollError {
  return new PlimsollError('conflict', 'http.port_taken', `Cannot listen on ${host}:${port}: the port is taken`, {
    action: `Stop what uses it, or choose another ${option}; both free: --port 0 --gateway-port 0`,
  })
}
