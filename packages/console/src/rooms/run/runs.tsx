import { Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { runsQuery } from '../../api/queries.ts'
import { Answer, Empty } from '../../parts/answer.tsx'
import { useTitle } from '../../shell/title.ts'
import { RunTable } from './run-table.tsx'

const PAGE = 50

/** Runs, newest first, a page at a time. */
export function Runs() {
  useTitle('Runs')
  const [before, setBefore] = useState<string>()
  const query = useQuery(runsQuery(before))
  return (
    <>
      <div className="row">
        <h1>Runs</h1>
        <Link to="/tracked/experiments">Experiments of the mlflow client</Link>
      </div>
      <Answer query={query}>
        {({ runs }) =>
          runs.length === 0 && before === undefined ? (
            <Empty
              title="No run yet"
              text="Apply a project that defines a pipeline, then start it."
              command="plimsoll run start PIPELINE"
            />
          ) : (
            <section className="surface stack">
              <RunTable runs={runs} />
              {(before !== undefined || runs.length === PAGE) && (
                <div className="row">
                  {before !== undefined && (
                    <Button variant="default" onClick={() => setBefore(undefined)}>
                      Newest
                    </Button>
                  )}
                  {runs.length === PAGE && (
                    <Button variant="default" onClick={() => setBefore(runs.at(-1)?.id)}>
                      Older
                    </Button>
                  )}
                </div>
              )}
            </section>
          )
        }
      </Answer>
    </>
  )
}
