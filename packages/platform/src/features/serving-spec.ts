import { type FeatureServingSpec, featureServingSpec } from '@plimsoll/sdk/wire'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { requireFeatureService } from './declare.ts'
import { layoutOf } from './online/index.ts'

/**
 * What a gateway needs to look the features of a service up: views by digest, generations, keys, windows.
 * @throws not_found features.service_not_found · precondition features.not_online
 */
export async function servingSpec(ctx: Context, service: string): Promise<FeatureServingSpec> {
  const { digest, members } = await requireFeatureService(ctx, service)
  const offline = members.find(({ view }) => !view.online)
  if (offline)
    throw new PlimsollError(
      'precondition',
      'features.not_online',
      `Cannot serve feature service "${service}": view "${offline.view.name}" has online false`,
    )
  const names = members.flatMap(({ features }) => features.map(({ name }) => name))
  const places = new Map(names.map((name, index) => [name, index]))
  const views = members.map((member) => {
    const layout = layoutOf(member.view)
    const columns: FeatureServingSpec['views'][number]['columns'] = []
    const windows: FeatureServingSpec['views'][number]['windows'] = []
    for (const { name, feature } of member.features) {
      const expression = member.view.features[feature]!
      const at = places.get(name)!
      if (expression.from === 'column')
        columns.push({ at, slot: layout.slots.findIndex((slot) => slot.feature === feature) })
      else {
        const column = expression.column === undefined ? -1 : layout.windowColumns.indexOf(expression.column)
        windows.push({ at, function: expression.function, column, windowUs: expression.windowUs })
      }
    }
    return {
      view: member.view.name,
      viewVersion: member.viewVersion,
      generation: member.generation,
      keys: member.entity.keys.map(({ type }, index) => ({ input: member.keys[index]!, type })),
      ttlUs: member.view.ttlUs,
      columns,
      windows,
    }
  })
  return featureServingSpec.parse({ v: 1, service, digest, names, views })
}
