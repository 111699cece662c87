export type { Definition } from './wire/definition/index.ts'
