import { shellWord } from '@plimsoll/sdk/wire'
import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { modelsQuery, versionsQuery } from '../../api/queries.ts'
import { PROJECT } from '../../api/session.ts'
import { actorText } from '../../format/actor.ts'
import { formatMetric, plainText } from '../../format/amount.ts'
import { inProject } from '../../format/in-project.ts'
import { Answer, Empty } from '../../parts/answer.tsx'
import { Table } from '../../parts/table.tsx'
import { Clip, Digest, When } from '../../parts/text.tsx'
import { useTitle } from '../../shell/title.ts'

/** What a table has not. */
function More({ text, command }: { text: string; command: string }) {
  return (
    <p className="soft wrap">
      {text} All of them: <code>{inProject(command, PROJECT)}</code>
    </p>
  )
}

/** Registered models. */
export function Models() {
  useTitle('Models')
  const query = useQuery(modelsQuery)
  return (
    <>
      <h1>Models</h1>
      <Answer query={query}>
        {({ models, next }) =>
          models.length === 0 ? (
            <Empty
              title="No model yet"
              text="A register step of a pipeline makes the first version."
              command="plimsoll run start PIPELINE"
            />
          ) : (
            <section className="surface scroll">
              <Table titles={['Model', 'Versions', 'Champion', 'Changed']}>
                {models.map((model) => (
                  <tr key={model.name}>
                    <td>
                      <Link to="/models/$model" params={{ model: model.name }}>
                        <Clip text={model.name} />
                      </Link>
                      <div className="soft">{plainText(model.description, 200)}</div>
                    </td>
                    <td>{model.versions}</td>
                    <td>
                      {model.champion === null ? <span className="soft">none</span> : `version ${model.champion}`}
                    </td>
                    <td>
                      <When at={model.updatedAt} />
                    </td>
                  </tr>
                ))}
              </Table>
              {next !== null && <More text={`The first ${models.length} are shown.`} command="plimsoll model list" />}
            </section>
          )
        }
      </Answer>
    </>
  )
}

/** Versions of one model, newest first. */
export function Versions() {
  const { model } = useParams({ from: '/models/$model' })
  const query = useQuery(versionsQuery(model))
  useTitle(`Model ${model}`)
  return (
    <>
      <h1 className="wrap">{plainText(model)}</h1>
      <Answer query={query}>
        {({ versions, next }) =>
          versions.length === 0 ? (
            <Empty
              title="No version yet"
              text="Run a pipeline that registers this model."
              command="plimsoll run start PIPELINE"
            />
          ) : (
            <section className="surface scroll">
              <Table titles={['Version', 'Artifact', 'Metrics', 'Made']}>
                {versions.map((version) => (
                  <tr key={version.version}>
                    <td>
                      <Link to="/models/$model/versions/$version" params={{ model, version: String(version.version) }}>
                        version {version.version}
                      </Link>
                      <div className="soft">{plainText(version.aliases.join(', '), 200)}</div>
                    </td>
                    <td>
                      <Digest digest={version.artifact} what="artifact digest" />
                    </td>
                    <td className="soft">
                      {Object.entries(version.metrics)
                        .slice(0, 3)
                        .map(([name, value]) => `${plainText(name, 40)} ${formatMetric(value)}`)
                        .join(' · ')}
                    </td>
                    <td>
                      <When at={version.createdAt} /> <span className="soft">{actorText(version.createdBy)}</span>
                    </td>
                  </tr>
                ))}
              </Table>
              {next !== null && (
                <More
                  text={`The newest ${versions.length} are shown.`}
                  command={`plimsoll model versions ${shellWord(plainText(model, 250))}`}
                />
              )}
            </section>
          )
        }
      </Answer>
    </>
  )
}
