export { keyIdOf, newSigningKey, type SigningKey, signBytes, verifyBytes } from './snapshot-signature.ts'
export { formatToken, hashToken, isTokenForm } from './token-format.ts'
