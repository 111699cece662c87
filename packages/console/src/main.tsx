import './nonce.ts'
import '@mantine/core/styles.css'
import './console.css'
import { MantineProvider } from '@mantine/core'
import { ClientError } from '@plimsoll/sdk/client'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { createRoot } from 'react-dom/client'
import { nonce } from './nonce.ts'
import { router } from './router.tsx'
import { NowProvider } from './shell/now.tsx'
import { theme } from './theme.ts'

// The client repeats what may be repeated; a refusal stays one.
const queries = new QueryClient({
  defaultOptions: {
    queries: { retry: (count, error) => !(error instanceof ClientError) && count < 1, staleTime: 1_000 },
  },
})

createRoot(document.getElementById('root')!).render(
  <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
    <QueryClientProvider client={queries}>
      <NowProvider>
        <RouterProvider router={router} />
      </NowProvider>
    </QueryClientProvider>
  </MantineProvider>,
)
