import type { FeatureViewDefinition } from '@plimsoll/sdk/wire'

/** Where the values of a view stand in its stored bytes: names sorted, since the order of members is not kept. */
export interface ViewLayout {
  /** Column features by slot. */
  readonly slots: readonly { readonly feature: string; readonly column: string }[]
  /** Source columns that the windows need, by place. */
  readonly windowColumns: readonly string[]
  /** Length of the longest window, 0 without one. */
  readonly windowMaxUs: number
}

export function layoutOf(view: FeatureViewDefinition): ViewLayout {
  const names = Object.keys(view.features).sort()
  const slots: { feature: string; column: string }[] = []
  const columns = new Set<string>()
  let windowMaxUs = 0
  for (const feature of names) {
    const expression = view.features[feature]!
    if (expression.from === 'column') slots.push({ feature, column: expression.column })
    else {
      if (expression.column !== undefined) columns.add(expression.column)
      windowMaxUs = Math.max(windowMaxUs, expression.windowUs)
    }
  }
  return { slots, windowColumns: [...columns].sort(), windowMaxUs }
}
