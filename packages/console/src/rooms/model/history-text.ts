import type { ModelVersionView } from '@plimsoll/sdk/wire'
import { plainText } from '../../format/amount.ts'

type Entry = ModelVersionView['history'][number]

function field(entry: Entry, name: string): string | undefined {
  const { data } = entry
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return undefined
  const value = data[name]
  return typeof value === 'string' || typeof value === 'number' ? plainText(String(value), 200) : undefined
}

/** One line about an event; an action that this page does not know is named as it is. */
export function historyText(entry: Entry): string {
  const subject = plainText(entry.subject, 120)
  const reason = field(entry, 'reason')
  const because = reason === undefined ? '' : `: ${reason}`
  switch (entry.action) {
    case 'release.create':
      return `Released to ${subject}${because}`
    case 'release.rollback':
      return `${subject} rolled back${because}`
    case 'release.retire':
      return `${subject} retired${because}`
    case 'version.register':
      return 'Registered'
    case 'version.approve':
      return `Approved for ${field(entry, 'environment') ?? 'an environment'}`
    case 'alias.move':
      return `Alias ${subject} moved${field(entry, 'to') === undefined ? '' : ` to version ${field(entry, 'to')}`}`
    case 'alias.delete':
      return `Alias ${subject} taken away`
    case 'version.describe':
      return 'Described'
    default:
      return `${plainText(entry.action, 80)} ${subject}`
  }
}
