import type { Tx } from '../../kernel/db/index.ts'
import { lockCurrent, type MoveRequest, refuseMoved, requireServing, unassign } from './assignment.ts'
import { type ReleaseRecord, requireNamed } from './release-record.ts'
import { requireRoute } from './route.ts'

/**
 * Ends what a route serves: the next snapshot has it no longer, and gateways answer that they do not know it. The route
 * stays declared, its history stays, and a release lets it serve again.
 * @throws precondition delivery.nothing_serves · delivery.route_moved · forbidden delivery.named_principal_needed
 */
export async function retire(tx: Tx, request: MoveRequest): Promise<ReleaseRecord> {
  requireNamed(tx, 'retire')
  const { environment, route, reason } = request
  await requireRoute(tx, { environment, name: route })
  const current = await lockCurrent(tx, request)
  const to = requireServing(request, 'retire', current)
  refuseMoved(request, 'retire', current)
  return unassign(tx, {
    action: 'retire',
    environment,
    route,
    current,
    to,
    restores: null,
    isSelfApproved: false,
    reason,
  })
}
