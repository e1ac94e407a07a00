// What a finished run of the 2.x generation has left on its store, and what is to be read from it.
import { bytes, pattern } from '../contract/harness.ts'
import type { Lineage } from './polyaxon-api.ts'

/** Contents by path. */
export type Files = ReadonlyMap<string, Uint8Array>

/** Names that clients, dashboards and headers have to carry, beyond what each server refuses. */
const ODD_NAMES = [
  'a b',
  '#1',
  '100%',
  '%41',
  'a&b=c',
  'plus+plus',
  '?',
  ';',
  "it's",
  'größe',
  '日本語',
  '🙂',
]

/** What a finished run of the 2.x generation has left. */
export const RUN_FILES: Files = new Map<string, Uint8Array>([
  ['outputs/results.csv', bytes('epoch,loss\n1,0.5\n2,0.25\n')],
  ['outputs/metrics.json', bytes('{"loss": 0.25, "done": true}')],
  ['outputs/empty.txt', bytes('')],
  ['outputs/x.tar.gz', pattern(1000)],
  ['outputs/model/weights.bin', pattern(3_000_001)],
  ['outputs/model/checkpoints/1.bin', pattern(70_000, 1)],
  ['outputs/Übungen/größe.txt', bytes('groß')],
  ['outputs/Übungen/モデル/a.bin', pattern(5000, 2)],
  ...ODD_NAMES.map(name => [`outputs/odd/${name}`, bytes(name)] as const),
  ...ODD_NAMES.map(name => [`outputs/odd/folders/${name}/file`, bytes(`in ${name}`)] as const),
  ['code/train.py', bytes('print("training")\n')],
  [
    'events/metric/loss.plx',
    bytes(
      'step|timestamp|metric\n1|2024-05-01T10:00:00+00:00|0.5\n2|2024-05-01T10:00:01.500000+00:00|0.25\n',
    ),
  ],
  ['events/metric/accuracy.plx', bytes('step|timestamp|metric\n1|2024-05-01T10:00:00+00:00|0.75\n')],
  [
    'events/image/preview.plx',
    bytes(
      'step|timestamp|image\n' +
        '1|2024-05-01T10:00:00+00:00|{"path":"assets/image/preview/1.png"}\n' +
        '2|2024-05-01T10:00:01+00:00|{"path":"assets/image/preview/2.png"}\n',
    ),
  ],
  ['assets/image/preview/1.png', pattern(2000, 3)],
  ['assets/image/preview/2.png', pattern(2000, 4)],
  ['plxlogs/pod-a.jsonl', bytes(logLines('pod-a', ['loading', 'training'], 10))],
  ['plxlogs/pod-b.jsonl', bytes(logLines('pod-b', ['größer'], 11))],
])

/** As Polyaxon writes them: an empty line first, and no end of line last. */
export function logLines(pod: string, values: readonly string[], second: number): string {
  const lines = values.map((value, i) =>
    JSON.stringify({
      ...{ timestamp: `2024-05-01T10:00:${second + 5 * i}+00:00`, value },
      ...{ node: 'node-1', pod, container: 'polyaxon-main' },
    }),
  )
  return ['', ...lines].join('\n')
}

export const MODEL: readonly string[] = ['outputs/model/weights.bin', 'outputs/model/checkpoints/1.bin']

const EVENT = { is_event: true }
export const PREVIEW: Lineage = {
  ...{ name: 'preview', kind: 'image', path: 'events/image/preview.plx' },
  summary: EVENT,
}

export const LINEAGES: readonly {
  readonly what: string
  readonly lineage: Lineage
  readonly holds: readonly string[]
  /** Asks with no flag: the asynchronous client cannot send one, because its HTTP library takes no booleans. */
  readonly flagless: boolean
}[] = [
  {
    what: 'a file',
    lineage: { name: 'results', kind: 'file', path: 'outputs/results.csv' },
    holds: ['outputs/results.csv'],
    flagless: true,
  },
  {
    what: 'a folder',
    lineage: { name: 'model', kind: 'dir', path: 'outputs/model' },
    holds: MODEL,
    flagless: true,
  },
  {
    what: 'a model that is a file',
    lineage: { name: 'weights', kind: 'model', path: MODEL[0]! },
    holds: [MODEL[0]!],
    flagless: false,
  },
  {
    what: 'a model that is a folder',
    lineage: { name: 'model', kind: 'model', path: 'outputs/model' },
    holds: MODEL,
    flagless: false,
  },
  {
    what: 'a metric',
    lineage: { name: 'loss', kind: 'metric', path: 'events/metric/loss.plx', summary: EVENT },
    holds: ['events/metric/loss.plx'],
    flagless: true,
  },
  {
    what: 'images of several steps',
    lineage: PREVIEW,
    holds: [PREVIEW.path, 'assets/image/preview/1.png', 'assets/image/preview/2.png'],
    flagless: false,
  },
]

export interface Events {
  readonly data: readonly { readonly name: string; readonly kind: string; readonly data: unknown }[]
}

export const LOSS = {
  ...{ name: 'loss', kind: 'metric' },
  data: {
    step: [1, 2],
    timestamp: ['2024-05-01 10:00:00+00:00', '2024-05-01 10:00:01.500000+00:00'],
    metric: [0.5, 0.25],
  },
}
export const ACCURACY = {
  ...{ name: 'accuracy', kind: 'metric' },
  data: { step: [1], timestamp: ['2024-05-01 10:00:00+00:00'], metric: [0.75] },
}
