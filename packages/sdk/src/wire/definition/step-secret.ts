import { z } from 'zod'
import { SECRET_NAME } from '../secret-name.ts'

const SECRETS_MAX = 32
const VARIABLE = /^[A-Z_][A-Z0-9_]{0,127}$/

/** Beginnings of variables that the launch of a step sets, and that change what its programs load. */
const RESERVED_PREFIXES = [
  'PLIMSOLL_',
  'MLFLOW_',
  'PYTHON',
  'NODE_',
  'LD_',
  'DYLD_',
  'PIP_',
  'ORT_',
  'OMP_',
  'LC_',
  'BASH',
  'OPENSSL_',
  'SSL_',
]

/** Variables that the launch of a step sets or hands on, or that a shell reads before it starts the program. */
const RESERVED = new Set([
  'PATH',
  'HOME',
  'LANG',
  'TZ',
  'TMPDIR',
  'PWD',
  'OLDPWD',
  'SHLVL',
  '_',
  'IFS',
  'ENV',
  'SHELLOPTS',
  'PS4',
  'DO_NOT_TRACK',
  'GCONV_PATH',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'ALL_PROXY',
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NO_PROXY',
])

/** True of a variable that is not a step's to choose: the platform gives it. */
export function isReservedVariable(name: string): boolean {
  return RESERVED.has(name) || RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix))
}

const secretName = z
  .string()
  .regex(
    SECRET_NAME,
    'expected the name of a secret: a lower-case letter, then letters, digits or -, at most 63 characters',
  )

/** Secrets that a step is given, by the variable that holds the value: `{"WAREHOUSE_PASSWORD": "warehouse-password"}`. */
export const stepSecrets = z.record(z.string(), secretName).superRefine((secrets, check) => {
  const names = Object.keys(secrets)
  if (names.length > SECRETS_MAX)
    check.addIssue({
      code: 'custom',
      message: `a step takes at most ${SECRETS_MAX} secrets, and here are ${names.length}`,
    })
  for (const name of names) {
    const message = !VARIABLE.test(name)
      ? 'expected the name of a variable: capital letters, digits and _, no digit first, at most 128 characters'
      : isReservedVariable(name)
        ? 'the platform gives a step this variable: choose another name'
        : undefined
    if (message !== undefined) check.addIssue({ code: 'custom', path: [name], message })
  }
})
