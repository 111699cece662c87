import { ActionIcon, useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { Link, Outlet, useLocation } from '@tanstack/react-router'
import { useTrouble } from '../api/trouble.ts'
import { formatAbsolute } from '../format/time.ts'
import { Mark } from '../parts/mark.tsx'
import { useNow } from './now.tsx'
import { NoProject, ProjectMenu, useIsElsewhere } from './project.tsx'
import { Banner, LogIn } from './trouble.tsx'

function Clock() {
  const { nowMs, replayRate } = useNow()
  const time = formatAbsolute(nowMs).slice(0, 16)
  if (replayRate === null) return <span className="clock">{time} UTC</span>
  return (
    <span
      className="clock"
      data-replay=""
      title="This data directory replays the past: every time on these pages is the replay's"
    >
      Replay × {replayRate} · {time} UTC
    </span>
  )
}

function SchemeSwitch() {
  const { setColorScheme } = useMantineColorScheme()
  const scheme = useComputedColorScheme('light')
  const other = scheme === 'dark' ? 'light' : 'dark'
  return (
    <ActionIcon
      variant="subtle"
      aria-label={`Use the ${other} look`}
      title={`Use the ${other} look`}
      onClick={() => setColorScheme(other)}
    >
      {scheme === 'dark' ? '☀' : '☾'}
    </ActionIcon>
  )
}

/** What the runs tracked is of their room, too. */
function RunsLink() {
  const isTracked = useLocation({ select: ({ pathname }) => pathname.startsWith('/tracked') })
  return (
    <Link to="/runs" {...(isTracked && { 'aria-current': 'page' })}>
      Runs
    </Link>
  )
}

/** The frame around every room. */
export function Shell() {
  const trouble = useTrouble()
  const isLocked = trouble?.error.status === 401
  const isElsewhere = useIsElsewhere()
  return (
    <>
      <a className="skip" href="#room">
        Skip to the content
      </a>
      <header className="bar">
        <Link to="/" className="brand" aria-label="Plimsoll">
          <Mark /> <span className="name">Plimsoll</span>
        </Link>
        <nav aria-label="Rooms">
          <Link to="/" activeOptions={{ exact: true }}>
            Overview
          </Link>
          <RunsLink />
          <Link to="/models">Models</Link>
        </nav>
        <ProjectMenu />
        <Clock />
        <SchemeSwitch />
      </header>
      <main id="room" tabIndex={-1}>
        {trouble !== undefined && (isLocked ? <LogIn trouble={trouble} /> : <Banner trouble={trouble} />)}
        {/* Hidden, not left out: what it asks for says whether the server lets it in. */}
        <div className="room" hidden={isLocked}>
          {isElsewhere ? <NoProject /> : <Outlet />}
        </div>
      </main>
    </>
  )
}
