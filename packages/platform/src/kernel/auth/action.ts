/** What a caller does who is refused and sent no token at all. */
export const TOKEN_ACTION =
  'Send a token with --token-file or PLIMSOLL_TOKEN; on the machine of the server, --data-dir DIR or the nearest .plimsoll instead of --server sends that of the operator'

/** What somebody does who is refused for want of a name. */
export const NAMED_ACTION =
  'Make a token of a person with plimsoll token create NAME --role approver --out NAME.token and give it with --token-file NAME.token, or sign with an SSH key (--sign-with) or OIDC'
