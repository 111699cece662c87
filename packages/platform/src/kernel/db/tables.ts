/**
 * Every table of the platform. Each domain adds its own rows from its `tables.ts`:
 * `declare module '../kernel/db/tables.ts' { interface Tables { dataset: DatasetRow } }`.
 *
 * Types as both adapters return them: bigint → bigint, timestamptz → Date, jsonb → parsed JSON, numeric → string.
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging in each domain
export interface Tables {}
