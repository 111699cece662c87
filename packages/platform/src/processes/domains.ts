import type { AnyEndpoint } from '../kernel/http/index.ts'

/** Every domain's endpoints, in the order of the domains. */
export const DOMAIN_ENDPOINTS: readonly AnyEndpoint[] = []
