import { createHash } from 'node:crypto'

/** A page without scripts or outside assets; its style is allowed by hash. */
export interface Page {
  readonly html: string
  readonly contentSecurityPolicy: string
}

const STYLE = `:root{color-scheme:light dark;background:Canvas;color:CanvasText;font:15px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}h1{border-bottom:3px solid #e8590c}h2{margin-top:2rem}h2::first-letter{text-transform:uppercase}h4{margin:.8rem 0 0}p{margin:.4rem 0}ul{margin:.2rem 0;padding-left:1.4rem;overflow-wrap:anywhere}details{border-top:1px solid #8884;padding:.4rem 0}summary{cursor:pointer;overflow-wrap:anywhere}summary::after{content:"";display:block;clear:both}code{font-variant-numeric:tabular-nums}.m{display:inline-block;width:4.5rem;font-weight:600;color:light-dark(#1864ab,#74b4ef)}.s{float:right;opacity:.8;font-size:.85em}table{border-collapse:collapse;width:100%;overflow-wrap:anywhere}td,th{text-align:left;padding:.2rem .6rem .2rem 0;border-top:1px solid #8884}:target{background:#e8590c33}`

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** `body` is HTML; what comes from elsewhere in it has been escaped. */
export function renderPage(title: string, body: string): Page {
  const styleHash = createHash('sha256').update(STYLE).digest('base64')
  return {
    html: `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body>${body}</body></html>\n`,
    contentSecurityPolicy: `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  }
}
