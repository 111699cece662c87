import type { ArtifactFile } from './artifact.ts'
import type { Experiment, Pair } from './experiment.ts'
import type { LoggedModel } from './logged-model.ts'
import type { RunRow, TrackedRun } from './run.ts'
import { wireDouble, wireInt } from './surface/json.ts'
import type { MetricLatestRow } from './tables.ts'

const pair = ({ key, value }: Pair) => ({ key, value })

export function wireExperiment(experiment: Experiment): object {
  return {
    experiment_id: experiment.id,
    name: experiment.name,
    artifact_location: experiment.artifact_location,
    lifecycle_stage: experiment.lifecycle,
    creation_time: wireInt(experiment.created_ms),
    last_update_time: wireInt(experiment.updated_ms),
    tags: experiment.tags.map(pair),
  }
}

export function wireRunInfo(run: RunRow): object {
  return {
    run_id: run.id,
    run_uuid: run.id,
    run_name: run.name,
    experiment_id: run.experiment,
    user_id: run.user_id,
    status: run.status,
    ...(run.start_ms === null ? {} : { start_time: wireInt(run.start_ms) }),
    ...(run.end_ms === null ? {} : { end_time: wireInt(run.end_ms) }),
    artifact_uri: run.artifact_uri,
    lifecycle_stage: run.lifecycle,
  }
}

export function wireMetric(metric: MetricLatestRow): object {
  return {
    key: metric.key,
    value: wireDouble(metric.value, metric.is_nan),
    timestamp: wireInt(metric.ts_ms),
    step: wireInt(metric.step),
  }
}

export function wireRun(run: TrackedRun): object {
  const link = (direction: 'input' | 'output') => run.models.filter((model) => model.direction === direction)
  return {
    info: wireRunInfo(run),
    data: { metrics: run.metrics.map(wireMetric), params: run.params.map(pair), tags: run.tags.map(pair) },
    inputs: {
      dataset_inputs: run.datasets.map(({ tags, schema, profile, name, digest, source_type, source }) => ({
        tags: tags.map(pair),
        dataset: {
          name,
          digest,
          source_type,
          source,
          ...(schema === null ? {} : { schema }),
          ...(profile === null ? {} : { profile }),
        },
      })),
      model_inputs: link('input').map(({ model }) => ({ model_id: model })),
    },
    outputs: { model_outputs: link('output').map(({ model, step }) => ({ model_id: model, step: wireInt(step) })) },
  }
}

export function wireLoggedModel(model: LoggedModel): object {
  return {
    info: {
      model_id: model.id,
      experiment_id: model.experiment,
      name: model.name,
      creation_timestamp_ms: wireInt(model.created_ms),
      last_updated_timestamp_ms: wireInt(model.updated_ms),
      artifact_uri: model.artifact_uri,
      status: model.status,
      ...(model.model_type === null ? {} : { model_type: model.model_type }),
      ...(model.source_run === null ? {} : { source_run_id: model.source_run }),
      ...(model.status_message === null ? {} : { status_message: model.status_message }),
      tags: model.tags.map(pair),
    },
    data: {
      params: model.params.map(pair),
      metrics: model.metrics.map((metric) => ({
        ...wireMetric({ ...metric, project: model.project, run_no: 0n }),
        model_id: model.id,
        run_id: metric.run,
        ...(metric.dataset_name === null ? {} : { dataset_name: metric.dataset_name }),
        ...(metric.dataset_digest === null ? {} : { dataset_digest: metric.dataset_digest }),
      })),
    },
  }
}

/** `path` is below `prefix`: the run's root in one listing, nothing in the proxy's. */
export function wireFile(file: ArtifactFile, prefix = ''): object {
  const path = prefix === '' ? file.name : `${prefix}/${file.name}`
  return { path, is_dir: file.isDirectory, ...(file.isDirectory ? {} : { file_size: wireInt(file.sizeBytes) }) }
}

export function page(token: string | undefined): object {
  return token === undefined ? {} : { next_page_token: token }
}
