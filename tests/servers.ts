import { describe, test } from 'vitest'
import { findServer, type ServerName } from './find-server.ts'

/**
 * True in `.ci/run`, where every server is required: what is repeated at random is done in full there, and in part elsewhere;
 * what is dear to install is tried only there.
 */
export const isThorough = process.env.PLIMSOLL_REQUIRE_SERVERS === '1'

const PACKAGES: Record<ServerName, string> = { postgres: 'postgresql', redis: 'redis-server', chromium: 'chromium' }

/**
 * Declares a suite that needs a server. Without it the suite is left out by name with the reason, or fails when
 * PLIMSOLL_REQUIRE_SERVERS is 1.
 */
export function suiteWith(name: ServerName, title: string, declare: (program: string) => void): void {
  const program = findServer(name)
  if (program !== undefined) {
    describe(title, () => declare(program))
    return
  }
  const reason = `${PACKAGES[name]} is not installed`
  if (isThorough) {
    test(title, () => {
      throw new Error(`${reason}, and PLIMSOLL_REQUIRE_SERVERS is 1: run npm run setup:servers`)
    })
  } else test.skip(`${title}: left out, ${reason}`, () => {})
}
