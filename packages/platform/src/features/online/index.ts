export {
  type EncodedKey,
  encodeKey,
  encodeVersion,
  generationOf,
  historyKey,
  type KeyType,
  type KeyValue,
  rowSection,
  windowSection,
} from './entity-key.ts'
export { layoutOf, type ViewLayout } from './layout.ts'
export { type FeatureStatus, type LookedUp, type OnlineReader, openOnlineReader } from './online-reader.ts'
export { encodeHistory } from './row-history.ts'
export { encodeRow, type RowValue } from './row-value.ts'
export { encodeWindow, type WindowValue } from './window-value.ts'
