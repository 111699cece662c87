import { type Client, ClientError } from '@plimsoll/sdk/client'
import { thereAre } from '@plimsoll/sdk/wire'
import { nearest } from '../kernel/nearest.ts'

const LISTED_MAX = 200

/** Where the names are listed among which one was not found, and under which member. */
const LISTS: Readonly<Record<string, readonly [path: string, member: string]>> = {
  'pipelines.not_found': ['/api/v1/pipelines', 'pipelines'],
  'datasets.dataset_not_found': ['/api/v1/datasets', 'datasets'],
  'registry.model_not_found': ['/api/v1/models', 'models'],
  'registry.version_not_found': ['/api/v1/models', 'models'],
  'serving.route_unknown': ['/api/v1/routes', 'routes'],
  'delivery.route_not_found': ['/api/v1/routes', 'routes'],
  'features.entity_not_found': ['/api/v1/entities', 'definitions'],
  'features.view_not_found': ['/api/v1/feature-views', 'definitions'],
  'features.service_not_found': ['/api/v1/feature-services', 'definitions'],
}

function listFor({ code, message }: ClientError): readonly [path: string, member: string] | undefined {
  const run = code === 'pipelines.step_not_found' ? / of run (run_[\w-]+)$/.exec(message)?.[1] : undefined
  return run === undefined ? LISTS[code] : [`/api/v1/runs/${run}`, 'graph']
}

async function namesAt(client: Client, [path, member]: readonly [string, string]): Promise<string[]> {
  const answer = (await client.call({ path })) as Record<string, unknown> // every member is checked below
  const entries = Array.isArray(answer[member]) ? answer[member] : []
  return entries.slice(0, LISTED_MAX).flatMap((entry: unknown): string[] => {
    const { name, key } = (entry ?? {}) as { name?: unknown; key?: unknown } // checked on the next line
    const word = name ?? key
    return typeof word === 'string' ? [word] : []
  })
}

/** The same failure, with something else to do. */
export function withAction(failure: ClientError, action: string): ClientError {
  const { status, code, message: detail, faults, requestId } = failure
  return new ClientError({ status, code, detail, action, faults, requestId })
}

/** The same failure, with the name that was probably meant, or those that there are; the gateway knows no path of ours. */
async function withSuggestion(client: Client, failure: ClientError): Promise<ClientError> {
  if (failure.code === 'serving.no_such_path' && failure.message.startsWith('Cannot find /api/'))
    return new ClientError({
      status: failure.status,
      code: failure.code,
      detail: `Cannot use ${client.server} as the server: the gateway answers there`,
      action: 'Name the control plane with --server: its address is what plimsoll up printed behind "Plimsoll is up"',
      requestId: failure.requestId,
    })
  const list = listFor(failure)
  const word = /"([^"]*)"/.exec(failure.message)?.[1]
  if (list === undefined || word === undefined) return failure
  const names = await namesAt(client, list).catch(() => undefined)
  if (names === undefined) return failure // it cannot be asked
  // The gateway's advice is for who speaks HTTP.
  const isOfGateway = failure.code === 'serving.route_unknown'
  if (names.includes(word))
    return isOfGateway
      ? withAction(
          failure,
          `It is declared and nothing serves there: plimsoll release ${word} VERSION --reason WHY --token-file APPROVER.token`,
        )
      : failure
  const meant = nearest(word, names)
  const none = isOfGateway ? 'There is no route yet: declare one in the project, then run plimsoll apply' : undefined
  const hint = meant === undefined ? (thereAre(names) ?? none) : `Did you mean ${meant}?`
  if (hint === undefined) return failure
  // The server may have listed them as well, or mean those of a model that is not there.
  const isMoot =
    isOfGateway || /^There (?:are|is only) /.test(failure.action ?? '') || failure.code === 'registry.version_not_found'
  const own = meant === undefined && !isMoot ? failure.action : undefined
  return withAction(failure, own ? `${hint}. ${own}` : hint)
}

/** A client whose failures to find a name say which one was probably meant; `lister` knows the names. */
export function suggestingClient(client: Client, lister = client): Client {
  const orSuggest = async (thrown: unknown): Promise<never> => {
    throw thrown instanceof ClientError ? await withSuggestion(lister, thrown) : thrown
  }
  return {
    server: client.server,
    project: client.project,
    call: (call) => client.call(call).catch(orSuggest),
    fetch: (call) => client.fetch(call).catch(orSuggest),
  }
}
