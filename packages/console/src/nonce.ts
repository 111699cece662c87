import { z } from 'zod'

/** Style elements of libraries carry this, or the page's policy refuses them. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[name="plimsoll-nonce"]')?.content ?? ''

// The scroll lock of dialogs reads the name that bundlers gave it.
Object.assign(globalThis, { __webpack_nonce__: nonce })
// zod compiles schemas with `new Function`, which the policy refuses.
z.config({ jitless: true })
