import type { ReactNode } from 'react'

/** Rows under the titles of their columns; what is around it scrolls when they are wide. */
export function Table({
  titles,
  className = 'plain',
  children,
}: {
  titles: readonly string[]
  className?: string
  children: ReactNode
}) {
  return (
    <table className={className}>
      <thead>
        <tr>
          {titles.map((title) => (
            <th scope="col" key={title}>
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  )
}
