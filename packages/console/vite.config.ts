import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  plugins: [react()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2023',
    // An inlined asset becomes a data: URL, which the policy of the server refuses.
    assetsInlineLimit: 0,
    // The polyfill injects inline script text; every browser that we name has module preload.
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
})
