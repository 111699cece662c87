/**
 * URL of a module beside the calling one, for a worker or a child process: `.ts` in a checkout, `.js` in the published package.
 * `name` has no extension, for example `./worker`.
 */
export function siblingModule(importMetaUrl: string, name: string): URL {
  return new URL(`${name}${importMetaUrl.endsWith('.ts') ? '.ts' : '.js'}`, importMetaUrl)
}
