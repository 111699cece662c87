import { Link } from '@tanstack/react-router'
import { useTitle } from '../shell/title.ts'

export function NotFound() {
  useTitle('No such page')
  return (
    <section className="surface stack">
      <h1>There is no such page</h1>
      <p className="soft">The address may be mistyped, or what it named is gone.</p>
      <p>
        <Link to="/">Go to the overview</Link>
      </p>
    </section>
  )
}
