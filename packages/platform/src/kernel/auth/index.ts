export { NAMED_ACTION } from './action.ts'
export { auditEndpoints } from './audit-endpoints.ts'
export { type AuthoriserOptions, hasRole, type Identity, openAuthoriser, type Scheme } from './authorise.ts'
export { authEndpoints } from './endpoints.ts'
export { createProject, grantedRole, registerKey, setGrant } from './grants.ts'
export { openOidcScheme } from './oidc-scheme.ts'
export { openSshScheme } from './ssh-scheme.ts'
export {
  createOperatorToken,
  createToken,
  type IssuedToken,
  isOperatorTokenLive,
  listTokens,
  liveTokens,
  pruneTokens,
  requireToken,
  revokeToken,
} from './tokens.ts'
