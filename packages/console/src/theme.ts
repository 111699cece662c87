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

/** What a dark page is made of, from its text to its ground. */
const slate: MantineColorsTuple = [
  '#e6ecf5',
  '#c9d4e4',
  '#a7b4c8',
  '#8494ad',
  '#31425c',
  '#2c3b52',
  '#26344a',
  '#172234',
  '#131d2d',
  '#0f1724',
]

/** Navy and slate; the signal, harm and proof colours are variables in console.css, named by what they mean. */
export const theme = createTheme({
  primaryColor: 'navy',
  primaryShade: { light: 7, dark: 5 },
  autoContrast: true,
  respectReducedMotion: true,
  colors: { navy, dark: slate },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
  defaultRadius: 'md',
  headings: { fontWeight: '600' },
})
