import { spawn } from 'node:child_process'
import { userInfo } from 'node:os'
import type { ClientOptions } from '@plimsoll/sdk/client'
import { formatSignedRequest, type RequestStatement, SSH_NAMESPACE } from '../kernel/auth/verify/index.ts'
import { canonicalJson } from '../kernel/canonical.ts'
import { nowIso, realClock } from '../kernel/clock.ts'
import { digestBytes } from '../kernel/digest.ts'
import { randomHex } from '../kernel/ids.ts'
import { UsageError } from './exit-code.ts'

/** Lets OpenSSH sign: with a key file, or a key of the agent when a public key is named. It may ask for a passphrase. */
function signWithOpenSsh(keyFile: string, message: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('ssh-keygen', ['-Y', 'sign', '-f', keyFile, '-n', SSH_NAMESPACE], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let signature = ''
    let errors = ''
    child.stdout.on('data', (chunk) => {
      signature += String(chunk)
    })
    child.stderr.on('data', (chunk) => {
      errors += String(chunk)
    })
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new UsageError(
          error.code === 'ENOENT' ? 'Cannot sign: ssh-keygen is not installed' : `Cannot sign: ${error.message}`,
        ),
      ),
    )
    child.once('close', (code) => {
      if (code === 0) resolve(signature)
      else
        reject(
          new UsageError(
            `Cannot sign with ${keyFile}: ${errors.trim().split('\n').at(-1) ?? `ssh-keygen ended with ${code}`}`,
          ),
        )
    })
    child.stdin.on('error', () => {})
    child.stdin.end(message)
  })
}

/** Signs each request of a client: who, what, where, when, and the digest of the body. */
export function signingAuthoriser(
  server: string,
  keyFile: string,
  principal: string = userInfo().username,
): NonNullable<ClientOptions['authorise']> {
  return async ({ method, path, project, body }) => {
    const statement: RequestStatement = {
      v: 1,
      principal,
      request: `${method} ${path}`,
      host: new URL(server).host,
      project,
      body: digestBytes(body),
      at: nowIso(realClock),
      nonce: randomHex(16),
    }
    return `Plimsoll-SSH ${formatSignedRequest(statement, await signWithOpenSsh(keyFile, canonicalJson(statement)))}`
  }
}
