// What the sample holds, run by run.
import { eventFile } from './event-file.ts'
import { modelFile } from './model-file.ts'
import { lossPlot } from './plot.ts'
import * as text from './text-files.ts'
import { STARTED_MS, trainingSteps } from './training.ts'

/** The runs, as paths below the sample's root; `layouts` has these places by default. */
export const SAMPLE_EXPERIMENT = 'demo/quick-start/experiments/1'
export const SAMPLE_GROUPED_EXPERIMENT = 'demo/quick-start/groups/3/7'
export const SAMPLE_JOB = 'demo/quick-start/jobs/2'
export const SAMPLE_RUN = '8aac02e3a62a4f0aaa257c59da5eab80'

export const SAMPLE_MODEL = 'model/model.safetensors'

export interface SampleFile {
  readonly path: string
  /** Text, bytes, or chunks of which each is used before the next is asked for. */
  readonly content: string | Buffer | Iterable<Uint8Array>
}

/** Folders without a file in them. */
export const EMPTY_FOLDERS: readonly string[] = [`${SAMPLE_EXPERIMENT}/checkpoints`]

/** In the order in which the training would have written them. */
export function sampleFiles(): readonly SampleFile[] {
  return [
    ...within(SAMPLE_EXPERIMENT, experiment()),
    ...within(SAMPLE_GROUPED_EXPERIMENT, groupedExperiment()),
    ...within(SAMPLE_JOB, job()),
    ...within(SAMPLE_RUN, run()),
  ]
}

function within(folder: string, files: readonly SampleFile[]): SampleFile[] {
  return files.map(file => ({ ...file, path: `${folder}/${file.path}` }))
}

function experiment(): SampleFile[] {
  const steps = trainingSteps(1, 1)
  const plot = lossPlot('loss of experiment 1', steps)
  return [
    { path: eventFileName('experiment-1'), content: eventFile(steps, STARTED_MS) },
    { path: 'logs/train.log', content: text.logText(steps) },
    { path: 'metrics.csv', content: text.metricsCsv(steps) },
    { path: 'metrics.jsonl', content: text.metricsJsonl(steps) },
    { path: 'plots/loss.png', content: plot },
    { path: SAMPLE_MODEL, content: modelFile(1) },
    { path: 'notebooks/loss.ipynb', content: text.notebook(steps, plot) },
    {
      path: 'notes/learning rate + batch size #2 (50% & up).txt',
      content: 'A smaller batch, half of it, did better.\n',
    },
    {
      path: 'notes/übersicht – résumé 模型.txt',
      content: 'Verlust gefallen, précision en hausse, 模型已保存。\n',
    },
    { path: 'report.html', content: text.reportHtml(steps) },
  ]
}

function groupedExperiment(): SampleFile[] {
  const steps = trainingSteps(7, 1.6)
  return [
    {
      path: 'params.json',
      content: `${JSON.stringify({ learning_rate: 0.003, batch_size: 64, dropout: 0.2 })}\n`,
    },
    { path: eventFileName('experiment-7'), content: eventFile(steps, STARTED_MS) },
    { path: 'metrics.csv', content: text.metricsCsv(steps) },
    { path: 'plots/loss.png', content: lossPlot('loss of experiment 7', steps) },
  ]
}

function job(): SampleFile[] {
  return [
    {
      path: 'logs/prepare.log',
      content: `${new Date(STARTED_MS).toISOString()} INFO  60000 examples in 10 classes\n`,
    },
    { path: 'dataset/labels.csv', content: text.datasetSummary() },
  ]
}

function run(): SampleFile[] {
  const steps = trainingSteps(11, 1.2)
  return [
    { path: 'code/train.py', content: text.TRAINING_SCRIPT },
    { path: 'events/metric/loss.plx', content: text.metricEvents(steps, step => step.trainLoss) },
    { path: 'events/metric/accuracy.plx', content: text.metricEvents(steps, step => step.accuracy) },
    { path: 'plxlogs/quick-start-main-0.jsonl', content: text.logJsonl(steps, 'quick-start-main-0') },
    { path: 'outputs/metrics.jsonl', content: text.metricsJsonl(steps) },
    { path: 'outputs/plots/loss.png', content: lossPlot('loss of run', steps) },
  ]
}

/** As TensorBoard's writer names them: the time in seconds, then the host. */
function eventFileName(host: string): string {
  return `tensorboard/events.out.tfevents.${STARTED_MS / 1000}.${host}`
}
