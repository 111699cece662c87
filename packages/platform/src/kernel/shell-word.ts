import { shellWord as sdkShellWord } from '@plimsoll/sdk/wire'

/** The one of the wire, which the console uses too: adapters know of the SDK its seams alone. */
export const shellWord = sdkShellWord
