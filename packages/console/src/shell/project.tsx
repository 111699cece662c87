import { Menu } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useLocation } from '@tanstack/react-router'
import { useEffect } from 'react'
import { projectsQuery } from '../api/queries.ts'
import { IS_PROJECT_NAME, NAMED_PROJECT, PROJECT } from '../api/session.ts'
import { plainText } from '../format/amount.ts'
import { Clip } from '../parts/text.tsx'
import { useTitle } from './title.ts'

const SHOWN_CHARS_MAX = 80
const ROOMS = ['/runs', '/models']

/** The room that is open, in another project: what is open in it is not there. */
function addressIn(project: string, path: string): string {
  const room = ROOMS.find((one) => path === one || path.startsWith(`${one}/`)) ?? '/'
  return `${room}?project=${encodeURIComponent(project)}`
}

/** Names of the projects that the caller may see; undefined until the server has said so. */
function useProjects(): readonly string[] | undefined {
  return useQuery(projectsQuery).data?.projects.map(({ project }) => project)
}

/** The project whose things are shown; leads to the others, where there are any. */
export function ProjectMenu() {
  const path = useLocation({ select: ({ pathname }) => pathname })
  const others = useProjects()?.filter((name) => name !== PROJECT) ?? []
  if (others.length === 0) return <Clip className="soft project" text={PROJECT} />
  const names = [PROJECT, ...others].sort()
  return (
    <Menu position="bottom-end" transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <button type="button" className="project" aria-label={`Project ${plainText(PROJECT)}`}>
          <Clip text={PROJECT} />
          <span aria-hidden="true">▾</span>
        </button>
      </Menu.Target>
      <Menu.Dropdown className="projects">
        {names.map((name) => (
          <Menu.Item
            key={name}
            component="a"
            href={addressIn(name, path)}
            aria-current={name === PROJECT ? 'true' : undefined}
          >
            {plainText(name)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}

/** True where the caller has no project of the name that is shown; who has others, and named none, is led to the first. */
export function useIsElsewhere(): boolean {
  const names = useProjects()
  const isElsewhere = !IS_PROJECT_NAME || (names !== undefined && !names.includes(PROJECT))
  const first = names?.[0]
  useEffect(() => {
    if (isElsewhere && NAMED_PROJECT === undefined && first !== undefined) location.replace(addressIn(first, '/'))
  }, [isElsewhere, first])
  return isElsewhere
}

/** In place of a room whose project is not there. */
export function NoProject() {
  const path = useLocation({ select: ({ pathname }) => pathname })
  const names = useProjects() ?? []
  useTitle('No such project')
  return (
    <section className="surface stack" role="alert">
      <h1 className="wrap">There is no project {plainText(PROJECT, SHOWN_CHARS_MAX)}</h1>
      <p className="soft">
        The address may be mistyped, or you have no role on it.{names.length > 0 && ' You may see:'}
      </p>
      <ul>
        {names.map((name) => (
          <li className="wrap" key={name}>
            <a href={addressIn(name, path)}>{plainText(name)}</a>
          </li>
        ))}
      </ul>
    </section>
  )
}
