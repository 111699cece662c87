export { observeDeadLetters } from './dead-letter.ts'
export { deadLetterEndpoints } from './endpoints.ts'
