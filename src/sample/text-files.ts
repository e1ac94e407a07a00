// The text files of the sample: metrics, logs, a notebook and a report, all about one training.
import type { Step } from './training.ts'

export function metricsCsv(steps: readonly Step[]): string {
  const rows = steps.map(step => `${step.step},${step.trainLoss},${step.validLoss},${step.accuracy}`)
  return lines(['step,train_loss,valid_loss,accuracy', ...rows])
}

export function metricsJsonl(steps: readonly Step[]): string {
  return lines(
    steps.map(({ step, timeMs, trainLoss, validLoss, accuracy }) =>
      JSON.stringify({
        step,
        timestamp: iso(timeMs),
        metrics: { train_loss: trainLoss, valid_loss: validLoss, accuracy },
      }),
    ),
  )
}

export function logText(steps: readonly Step[]): string {
  const first = steps[0]!
  return lines([
    `${iso(first.timeMs - 2000)} INFO  reading dataset: 60000 examples for training, 10000 for validation`,
    `${iso(first.timeMs - 1000)} INFO  model: 16776960 parameters, optimizer adam, learning rate 0.001`,
    ...messages(steps).map(({ timeMs, text }) => `${iso(timeMs)} INFO  ${text}`),
    `${iso(steps.at(-1)!.timeMs + 1000)} INFO  saved model/model.safetensors`,
  ])
}

/** Logs as Polyaxon 2.x keeps them in `plxlogs`: one JSON object a line, after an empty first line. */
export function logJsonl(steps: readonly Step[], pod: string): string {
  return `\n${lines(
    messages(steps).map(({ timeMs, text }) =>
      JSON.stringify({
        timestamp: iso(timeMs),
        value: text,
        node: 'node-1',
        pod,
        container: 'polyaxon-main',
      }),
    ),
  )}`
}

function messages(steps: readonly Step[]): { timeMs: number; text: string }[] {
  return steps
    .filter(({ step }) => step % 10 === 0)
    .map(step => ({
      timeMs: step.timeMs,
      text: `step ${step.step}/${steps.length} train_loss=${step.trainLoss} valid_loss=${step.validLoss} accuracy=${step.accuracy}`,
    }))
}

/** A series as Polyaxon 2.x keeps it in `events/metric/NAME.plx`. */
export function metricEvents(steps: readonly Step[], value: (step: Step) => number): string {
  return lines([
    'step|timestamp|metric',
    ...steps.map(step => `${step.step}|${iso(step.timeMs).replace('Z', '+00:00')}|${value(step)}`),
  ])
}

/** A Jupyter notebook of format 4.5, as it looks after a run, with `plot` in the output of its last cell. */
export function notebook(steps: readonly Step[], plot: Buffer): string {
  const last = steps.at(-1)!
  const code = (id: string, count: number, source: string, outputs: unknown[]) => ({
    cell_type: 'code',
    id,
    metadata: {},
    execution_count: count,
    source: splitLines(source),
    outputs,
  })
  const cells = [
    {
      cell_type: 'markdown',
      id: 'intro',
      metadata: {},
      source: splitLines(
        '# Loss of experiment 1\n\nReads the metrics that the training wrote and plots them.',
      ),
    },
    code(
      'read',
      1,
      "import pandas as pd\n\nmetrics = pd.read_csv('../metrics.csv', index_col='step')\nmetrics.tail(1)",
      [
        {
          output_type: 'execute_result',
          execution_count: 1,
          metadata: {},
          data: {
            'text/plain': splitLines(
              `      train_loss  valid_loss  accuracy\nstep\n${last.step}   ${last.trainLoss}  ${last.validLoss}  ${last.accuracy}`,
            ),
          },
        },
      ],
    ),
    code('plot', 2, "metrics[['train_loss', 'valid_loss']].plot()", [
      {
        output_type: 'display_data',
        metadata: {},
        data: { 'image/png': plot.toString('base64'), 'text/plain': ['<Figure size 720x440>'] },
      },
    ]),
  ]
  const metadata = {
    kernelspec: { display_name: 'Python 3', language: 'python', name: 'python3' },
    language_info: { name: 'python', version: '3.12.3' },
  }
  return `${JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 5 }, undefined, 1)}\n`
}

/** The notebook format keeps text as a list of lines with their line feeds. */
function splitLines(text: string): string[] {
  return text.split(/(?<=\n)/)
}

export function reportHtml(steps: readonly Step[]): string {
  const best = steps.reduce((least, step) => (step.validLoss < least.validLoss ? step : least))
  const rows = steps
    .filter(({ step }) => step % 40 === 0)
    .map(step => `<tr><td>${step.step}<td>${step.trainLoss}<td>${step.validLoss}<td>${step.accuracy}`)
  return lines([
    '<!doctype html>',
    '<html lang="en">',
    '<meta charset="utf-8">',
    '<title>Experiment 1</title>',
    '<h1>Experiment 1</h1>',
    `<p>The validation loss was least at step ${best.step}: ${best.validLoss}.`,
    '<p><img src="plots/loss.png" width="720" height="440" alt="Training and validation loss over the steps">',
    '<table>',
    '<tr><th>Step<th>Training loss<th>Validation loss<th>Accuracy',
    ...rows,
    '</table>',
    '</html>',
  ])
}

export function datasetSummary(): string {
  const digits = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
  return lines(['label,examples', ...digits.map((examples, label) => `${label},${examples}`)])
}

export const TRAINING_SCRIPT = `import polyaxon.tracking as tracking

tracking.init()
for step, (loss, accuracy) in enumerate(train(), start=1):
    tracking.log_metrics(step=step, loss=loss, accuracy=accuracy)
`

function lines(texts: readonly string[]): string {
  return `${texts.join('\n')}\n`
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString()
}
