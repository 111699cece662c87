export { type AuthoriserOptions, hasRole, type Identity, openAuthoriser, type Scheme } from './authorise.ts'
export { authEndpoints } from './endpoints.ts'
export {
  createOperatorToken,
  createToken,
  type IssuedToken,
  isOperatorTokenLive,
  issueRunToken,
  listTokens,
  requireToken,
  revokeRunTokens,
  revokeToken,
} from './tokens.ts'
