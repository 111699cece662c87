export { type LmdbOptions, openLmdbOnlineStore } from './online-store.ts'
