import { createTheme, type MantineColorsTuple } from '@mantine/core'

const navy: MantineColorsTuple = [
  '#eef3f9',
  '#d9e4f0',
  '#b3c8e0',
  '#8babd0',
  '#6790c0',
  '#4a78ae',
  '#33608f',
  '#27507c',
  '#1f3a5f',
  '#142843',
]

/** Navy and slate; the signal, harm and proof colours are variables in console.css, named by what they mean. */
export const theme = createTheme({
  primaryColor: 'navy',
  primaryShade: { light: 7, dark: 3 },
  autoContrast: true,
  respectReducedMotion: true,
  colors: { navy },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
  defaultRadius: 'md',
  headings: { fontWeight: '600' },
})
