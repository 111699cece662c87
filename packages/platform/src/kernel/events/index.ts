export { type Consumer, consume, type DeliveredEvent } from './consumer.ts'
export {
  type DeadLetter,
  type Dispatcher,
  type DispatcherOptions,
  listDeadLetters,
  openDispatcher,
  retryDeadLetter,
} from './dispatcher.ts'
export { type EventMark, markEvents } from './mark.ts'
export { openPulse, type Pulse } from './pulse.ts'
export { pruneEvents } from './retention.ts'
export { placeEvents } from './sequencer.ts'
