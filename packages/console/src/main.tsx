import './nonce.ts'
import '@mantine/core/styles.css'
import './console.css'
import { MantineProvider } from '@mantine/core'
import { ClientError } from '@plimsoll/sdk/client'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { createRoot } from 'react-dom/client'
import { openAnswers } from './api/trouble.ts'
import { nonce } from './nonce.ts'
import { loadRooms, router } from './router.tsx'
import { NowProvider } from './shell/now.tsx'
import { theme } from './theme.ts'

const LOAD_ROOMS_MS = 2_000

// The client repeats what may be repeated; a refusal stays one.
const queries = new QueryClient({
  queryCache: openAnswers(),
  defaultOptions: {
    // The server is often on this machine, and answers while the browser believes that there is no network.
    mutations: { networkMode: 'always' },
    queries: {
      networkMode: 'always',
      retry: (count, error) => !(error instanceof ClientError) && count < 1,
      staleTime: 1_000,
    },
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

// A room that is opened while the server is gone must not need it for its script.
setTimeout(() => void loadRooms(), LOAD_ROOMS_MS)
