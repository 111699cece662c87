import { z } from 'zod'
import { SECRET_NAME } from '../secret-name.ts'

const SECRETS_MAX = 32
const VARIABLE = /^[A-Z_][A-Z0-9_]{0,127}$/

/** Variables that the launch of a step sets or hands on, beside all that begin with `PLIMSOLL_`. */
const GIVEN = new Set([
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'PIP_INDEX_URL',
  'PIP_EXTRA_INDEX_URL',
  'PIP_CONFIG_FILE',
  'PIP_CERT',
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NO_PROXY',
  'PYTHONPATH',
  'DO_NOT_TRACK',
  'MLFLOW_DISABLE_TELEMETRY',
  'ORT_DISABLE_TELEMETRY',
  'MLFLOW_TRACKING_URI',
  'MLFLOW_TRACKING_TOKEN',
  'MLFLOW_EXPERIMENT_NAME',
  'MLFLOW_RUN_ID',
  'MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR',
  'MLFLOW_HTTP_REQUEST_MAX_RETRIES',
  'OMP_NUM_THREADS',
  'OMP_WAIT_POLICY',
])

/**
 * Variables by which a shell, the loader, the C library, an interpreter or OpenSSL finds what it runs, or does something else
 * than it was asked to. What only begins like one of them (`NODE_AUTH_TOKEN`) is a step's to choose.
 */
const STARTING = new Set([
  ...['PWD', 'OLDPWD', 'SHLVL', '_', 'IFS', 'ENV', 'SHELLOPTS', 'BASHOPTS', 'PS4', 'CDPATH'],
  ...['GCONV_PATH', 'GLIBC_TUNABLES', 'LOCPATH', 'NLSPATH', 'TZDIR', 'HOSTALIASES', 'LOCALDOMAIN', 'RES_OPTIONS'],
  ...['NODE_OPTIONS', 'NODE_PATH', 'NODE_EXTRA_CA_CERTS', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_COMPILE_CACHE'],
  ...['NODE_REPL_EXTERNAL_MODULE', 'NODE_REDIRECT_WARNINGS', 'NODE_V8_COVERAGE', 'NODE_ICU_DATA'],
  ...['OPENSSL_CONF', 'OPENSSL_CONF_INCLUDE', 'OPENSSL_MODULES', 'OPENSSL_ENGINES', 'SSL_CERT_DIR', 'SSLKEYLOGFILE'],
  ...['CURL_CA_BUNDLE', 'ALL_PROXY', 'PYTHON_PRESITE', 'PERL5LIB', 'PERL5OPT', 'RUBYLIB', 'RUBYOPT', 'CLASSPATH'],
  ...['JAVA_TOOL_OPTIONS', 'JDK_JAVA_OPTIONS', '_JAVA_OPTIONS'],
])
/** Python's own have no `_` there, but for a few of which one loads something. */
const STARTING_PREFIX = /^(?:LD_|DYLD_|BASH_|PYTHON(?!_))/

/** Why a variable is not a step's to choose; undefined when it is. */
function reservation(name: string): string | undefined {
  if (GIVEN.has(name) || name.startsWith('PLIMSOLL_')) return 'the platform gives a step this variable'
  if (STARTING.has(name) || STARTING_PREFIX.test(name)) return 'this variable may change how programs start'
  return undefined
}

/** Without what was found: it may be the secret itself, and faults of a project stand in the logs of a CI. */
const NO_NAME =
  'is no name of a secret: expected a lower-case letter, then letters, digits or -, at most 63 characters (the value itself is kept where the platform runs)'
const NO_VARIABLE =
  'one of them is no name of a variable: expected capital letters, digits and _, no digit first, at most 128 characters'
const NO_RECORD = 'expects the names of secrets by variable, such as { WAREHOUSE_PASSWORD: warehouse-password }'

/** Secrets that a step is given, by the variable that holds the value: `{"WAREHOUSE_PASSWORD": "warehouse-password"}`. */
export const stepSecrets = z
  .record(z.string(), z.custom<string>().meta({ type: 'string' }), NO_RECORD)
  .superRefine((secrets, check) => {
    const names = Object.keys(secrets)
    if (names.length > SECRETS_MAX)
      check.addIssue({
        code: 'custom',
        message: `a step takes at most ${SECRETS_MAX} secrets, and here are ${names.length}`,
      })
    for (const [variable, name] of Object.entries(secrets)) {
      if (!VARIABLE.test(variable)) {
        check.addIssue({ code: 'custom', message: NO_VARIABLE })
        continue
      }
      const reserved = reservation(variable)
      const message = reserved
        ? `${reserved}: choose another name`
        : typeof name === 'string' && SECRET_NAME.test(name)
          ? undefined
          : NO_NAME
      if (message !== undefined) check.addIssue({ code: 'custom', path: [variable], message })
    }
  })
