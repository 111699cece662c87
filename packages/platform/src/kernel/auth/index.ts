export { NAMED_ACTION } from './action.ts'
export { auditEndpoints } from './audit-endpoints.ts'
export { type AuthoriserOptions, hasRole, openAuthoriser } from './authorise.ts'
export { authEndpoints } from './endpoints.ts'
export { createProject, grantedRole, registerKey, setGrant } from './grants.ts'
export { openOidcProvider } from './oidc-provider.ts'
export { openSshProvider } from './ssh-provider.ts'
export { openTokenProvider } from './token-provider.ts'
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
