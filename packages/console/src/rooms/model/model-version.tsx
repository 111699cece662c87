import { type ModelVersionView, shellWord } from '@plimsoll/sdk/wire'
import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { versionQuery } from '../../api/queries.ts'
import { actorText, proofText } from '../../format/actor.ts'
import { formatBytes, formatMetric, plainText } from '../../format/amount.ts'
import { Answer } from '../../parts/answer.tsx'
import { Clip, Command, Digest, When } from '../../parts/text.tsx'
import { useTitle } from '../../shell/title.ts'
import { NotFound } from '../not-found.tsx'
import { historyText } from './history-text.ts'
import { remedyOf } from './remedy.ts'

function Gaps({ version }: { version: ModelVersionView }) {
  if (version.gaps.length === 0)
    return (
      <section className="surface row">
        <span className="state" data-tone="proof">
          <span aria-hidden="true">✓</span> Nothing is missing for {version.environment}
        </span>
      </section>
    )
  return (
    <section className="surface stack" aria-labelledby="gaps">
      <h2 id="gaps">
        Missing for {version.environment}: {version.gaps.length}
      </h2>
      {version.gaps.map((gap) => (
        <div className="gap stack" key={`${gap.field}/${gap.detail}`}>
          <p className="wrap">
            <strong>{plainText(gap.field, 80)}</strong> {plainText(gap.detail)}
          </p>
          <Remedy text={gap.command} />
        </div>
      ))}
    </section>
  )
}

function Remedy({ text }: { text: string }) {
  const { advice, command } = remedyOf(text)
  return (
    <>
      {advice !== undefined && <p className="soft wrap">{plainText(advice)}</p>}
      {command !== undefined && <Command text={command} />}
    </>
  )
}

function Lineage({ bound }: { bound: ModelVersionView['bound'] }) {
  const { code, environment, origin } = bound
  return (
    <>
      <dt>Code</dt>
      <dd>
        {code === null ? (
          <Missing />
        ) : (
          <>
            {plainText(code.source, 200)},{' '}
            {code.commit === null ? (
              'no commit'
            ) : (
              <>
                commit <Digest digest={code.commit} what="commit" />
              </>
            )}
            {code.isDirty && ' with uncommitted changes'}
            <div>
              code digest <Digest digest={code.bundle} what="code digest" />
            </div>
          </>
        )}
      </dd>
      <dt>Data</dt>
      <dd>
        {bound.data.length === 0 && <Missing />}
        {bound.data.map((one) => (
          <div className="row" key={`${one.role}/${one.name}/${one.digest}`}>
            <span>
              {one.role}: <Clip text={one.name} />
            </span>
            <Digest digest={one.digest} what={`digest of ${one.name}`} />
          </div>
        ))}
      </dd>
      <dt>Environment</dt>
      <dd>
        {environment === null ? (
          <Missing />
        ) : (
          <>
            {plainText([environment.interpreter, environment.platform].filter((part) => part !== null).join(', '), 200)}{' '}
            <div>
              lock <Digest digest={environment.lock} what="lock digest" />
            </div>
          </>
        )}
      </dd>
      <dt>Made by</dt>
      <dd>
        {origin.run === null ? (
          <span className="soft">outside of a pipeline</span>
        ) : (
          <Link to="/runs/$run" params={{ run: origin.run }} search={origin.step === null ? {} : { step: origin.step }}>
            {plainText(`${origin.pipeline ?? 'one step'}${origin.step === null ? '' : `, step ${origin.step}`}`, 200)}
          </Link>
        )}
      </dd>
    </>
  )
}

function Missing() {
  return (
    <span className="state" data-tone="signal">
      missing
    </span>
  )
}

function Passport({ version }: { version: ModelVersionView }) {
  const { bound } = version
  const tensors = (list: NonNullable<typeof bound.signature>['outputs']) =>
    list
      .map(({ name, datatype, shape, labels }) => {
        const classes = labels ? `: ${plainText(labels.join(', '), 200)}` : ''
        return `${plainText(name, 80)} ${datatype} [${shape.join(', ')}]${classes}`
      })
      .join('; ')
  return (
    <section className="surface stack" aria-labelledby="passport">
      <h2 id="passport">Passport</h2>
      <p className="soft">What the version is, by digest. A change here voids every approval.</p>
      <dl className="facts">
        <dt>Passport digest</dt>
        <dd>
          <Digest digest={version.passport} what="passport digest" />
        </dd>
        <dt>Artifact</dt>
        <dd>
          {bound.artifact.format}, {formatBytes(bound.artifact.sizeBytes)}{' '}
          <Digest digest={bound.artifact.digest} what="artifact digest" />
        </dd>
        {bound.parents.length > 0 && (
          <>
            <dt>Derived from</dt>
            <dd>
              {bound.parents.map((parent) => (
                <Digest key={parent} digest={parent} what="digest of what it was derived from" />
              ))}
            </dd>
          </>
        )}
        <Lineage bound={bound} />
        <dt>Takes</dt>
        <dd>{bound.signature === null ? <Missing /> : tensors(bound.signature.inputs)}</dd>
        <dt>Gives</dt>
        <dd>{bound.signature === null ? <Missing /> : tensors(bound.signature.outputs)}</dd>
      </dl>
      <h3>Metrics</h3>
      {Object.keys(bound.metrics).length === 0 ? (
        <Missing />
      ) : (
        <div className="figures">
          {Object.entries(bound.metrics).map(([name, value]) => (
            <div key={name}>
              <div className="figure">{formatMetric(value)}</div>
              <Clip className="soft" text={name} />
            </div>
          ))}
        </div>
      )}
    </section>
  )
}

const NOTES = [
  ['owner', 'Owner'],
  ['intendedUse', 'Intended use'],
  ['outOfScope', 'Out of scope'],
  ['limitations', 'Limitations'],
  ['licence', 'Licence'],
  ['riskClass', 'Risk class'],
] as const

function Notes({ version }: { version: ModelVersionView }) {
  const description = version.notes.description || version.description
  const said = version.notesRevision
  return (
    <section className="surface stack" aria-labelledby="notes">
      <h2 id="notes">Notes</h2>
      {description !== '' && <p className="wrap">{plainText(description, 2_000)}</p>}
      <dl className="facts">
        {said !== null && (
          <>
            <dt>Last changed</dt>
            <dd>
              <When at={said.at} /> by {plainText(said.by, 120)}{' '}
              <Digest digest={said.digest} what="digest of the notes" />
            </dd>
          </>
        )}
        {NOTES.map(([field, label]) => (
          <div key={field} style={{ display: 'contents' }}>
            <dt>{label}</dt>
            <dd>
              {version.notes[field] === null ? (
                <span className="soft">not said</span>
              ) : (
                plainText(version.notes[field] ?? '', 2_000)
              )}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  )
}

function Approvals({ version }: { version: ModelVersionView }) {
  const isAsked = version.gaps.some(({ command }) => command.startsWith('plimsoll approve '))
  return (
    <section className="surface stack" aria-labelledby="approvals">
      <h2 id="approvals">Approvals</h2>
      {version.approvals.length === 0 && (
        <>
          <p className="soft">
            Nobody has approved this version.{' '}
            {isAsked ? 'The command is above, with what is missing.' : 'Who may, does it with:'}
          </p>
          {!isAsked && (
            <Command
              text={`plimsoll approve ${shellWord(version.model)} ${version.version} --environment ${version.environment} --token-file APPROVER.token`}
            />
          )}
        </>
      )}
      {version.approvals.map((approval) => (
        <div className="stack" key={`${approval.by}/${approval.at}`}>
          <div className="beside">
            <span className="state" data-tone={approval.isValid ? 'proof' : 'calm'}>
              <span aria-hidden="true">{approval.isValid ? '✓' : '–'}</span> {plainText(approval.by, 120)}
              {!approval.isValid && ', void: the passport changed'}
              {approval.isSelfApproved && ', self-approved'}
            </span>
            <span className="soft">
              <When at={approval.at} />
            </span>
          </div>
          <span className="soft wrap">
            for {approval.environment}
            {proofText(approval.proof)}
            {approval.comment === '' ? '' : `: ${plainText(approval.comment)}`}
          </span>
        </div>
      ))}
    </section>
  )
}

function History({ version: { history } }: { version: ModelVersionView }) {
  return (
    <section className="surface stack" aria-labelledby="history">
      <h2 id="history">History</h2>
      {history.length === 0 ? (
        <p className="soft">Nothing is recorded of this version.</p>
      ) : (
        <ol className="timeline">
          {history.map((entry) => (
            <li key={`${entry.at}/${entry.action}/${entry.subject}`}>
              <div className="beside">
                <strong className="wrap">{historyText(entry)}</strong>
                <span className="soft">
                  <When at={entry.at} />
                </span>
              </div>
              <span className="soft wrap">{actorText(entry.actor, entry.proof)}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  )
}

/** One version: its passport, what it lacks, who answers for it, and what happened to it. */
export function ModelVersion() {
  const params = useParams({ from: '/models/$model/versions/$version' })
  return /^[1-9]\d{0,8}$/.test(params.version) ? (
    <Version model={params.model} number={Number(params.version)} />
  ) : (
    <NotFound />
  )
}

function Version({ model, number }: { model: string; number: number }) {
  const query = useQuery(versionQuery(model, number))
  useTitle(`${model} version ${number}`)
  return (
    <Answer query={query} title={`${model} version ${number}`}>
      {(version) => (
        <>
          <header className="row">
            <h1 className="wrap">
              <Link to="/models/$model" params={{ model: version.model }}>
                {version.model}
              </Link>
            </h1>
            <span className="figure">version {version.version}</span>
            {version.aliases.map((alias) => (
              <span className="state" data-tone="work" key={alias}>
                <Clip text={`@${alias}`} />
              </span>
            ))}
          </header>
          <Gaps version={version} />
          <div className="pair">
            <div className="stack">
              <Passport version={version} />
              <Notes version={version} />
            </div>
            <div className="stack">
              <Approvals version={version} />
              <History version={version} />
            </div>
          </div>
        </>
      )}
    </Answer>
  )
}
