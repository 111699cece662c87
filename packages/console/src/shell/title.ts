import { useEffect } from 'react'
import { plainText } from '../format/amount.ts'

const SHOWN_CHARS_MAX = 100

/** Names the page that is open, for tabs, histories and those who do not see it. */
export function useTitle(text: string): void {
  useEffect(() => {
    document.title = `${plainText(text, SHOWN_CHARS_MAX)} · Plimsoll`
  }, [text])
}
