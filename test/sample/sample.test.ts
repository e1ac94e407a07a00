// The sample: the same bytes and times whenever it is made, and every file valid for its format.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  SAMPLE_EXPERIMENT,
  SAMPLE_GROUPED_EXPERIMENT,
  SAMPLE_JOB,
  SAMPLE_MODEL,
  SAMPLE_RUN,
} from '../../src/sample/contents.ts'
import { makeSample } from '../../src/sample/make.ts'

let folder: string
let sample: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sample-'))
  sample = join(folder, 'parent', 'outputs')
  await makeSample(sample)
})
afterAll(() => rmSync(folder, { recursive: true }))

const experiment = (path: string) => join(sample, SAMPLE_EXPERIMENT, path)

/** Every path with its permissions, modification time and content. */
function fingerprint(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .sort()
    .map(path => {
      const { mode, mtimeMs } = statSync(join(root, path))
      const isFile = statSync(join(root, path)).isFile()
      const hash = isFile
        ? createHash('sha256')
            .update(readFileSync(join(root, path)))
            .digest('hex')
        : '-'
      return `${path} ${mode.toString(8)} ${mtimeMs} ${hash}`
    })
}

describe('making it', () => {
  it('gives the same bytes, times and permissions again, in under two seconds', async () => {
    const durations: number[] = []
    for (const name of ['again', 'once more']) {
      const started = performance.now()
      expect(await makeSample(join(folder, name))).toBe(true)
      durations.push(performance.now() - started)
      expect(fingerprint(join(folder, name))).toEqual(fingerprint(sample))
      rmSync(join(folder, name), { recursive: true })
    }
    // The better of two: the machine may be busy with other tests.
    expect(Math.min(...durations)).toBeLessThan(2000)
  })

  it('gives the bytes that it gave on other machines', () => {
    const hash = createHash('sha256')
    // Without the permissions, which the user's umask has a part in.
    for (const line of fingerprint(sample)) hash.update(line.replace(/^(.*) \d+ (\d+ \S+)$/, '$1 $2\n'))
    expect(hash.digest('hex')).toBe('40b0829962d7aa9db8b10c5c0d6a77501b07b191e78c8c4869682c5f5074c367')
  })

  it('leaves a folder alone that holds something, and nothing beside it', async () => {
    const taken = join(folder, 'taken')
    mkdirSync(taken)
    writeFileSync(join(taken, 'mine'), '')
    expect(await makeSample(taken)).toBe(false)
    expect(readdirSync(taken)).toEqual(['mine'])
    expect(readdirSync(folder).filter(name => name.startsWith('.'))).toEqual([])
  })

  it('lets one of two that start at once make it, and both succeed', async () => {
    const shared = join(folder, 'shared')
    const made = await Promise.all([makeSample(shared), makeSample(shared)])
    expect(made.sort()).toEqual([false, true])
    expect(fingerprint(shared)).toEqual(fingerprint(sample))
    rmSync(shared, { recursive: true })
  })

  it('removes what an interrupted start left beside it, but nothing that may still be written', async () => {
    const leftOver = join(folder, '.later.unfinished-abcdef')
    mkdirSync(leftOver)
    await makeSample(join(folder, 'later'))
    expect(existsSync(leftOver)).toBe(true)
    await makeSample(join(folder, 'later'), Date.now() + 11 * 60_000)
    expect(existsSync(leftOver)).toBe(false)
    rmSync(join(folder, 'later'), { recursive: true })
  })

  it('shows nothing at its place before it is whole', async () => {
    const slow = join(folder, 'slow')
    const making = makeSample(slow)
    const seen = new Set<number>()
    const look = setInterval(() => seen.add(existsSync(slow) ? readdirSync(slow).length : 0), 1)
    await making
    clearInterval(look)
    expect([...seen].filter(count => count !== 0 && count !== 2)).toEqual([])
    expect(seen).toContain(0)
    rmSync(slow, { recursive: true })
  })
})

describe('its runs', () => {
  it('are an experiment, one in a group, a job and a 2.x run, where the default layouts look for them', () => {
    expect(readdirSync(sample).sort()).toEqual([SAMPLE_RUN, 'demo'])
    expect(SAMPLE_RUN).toMatch(/^[0-9a-f]{32}$/)
    for (const run of [SAMPLE_EXPERIMENT, SAMPLE_GROUPED_EXPERIMENT, SAMPLE_JOB])
      expect(readdirSync(join(sample, run))).not.toEqual([])
    expect(readdirSync(join(sample, SAMPLE_RUN)).sort()).toEqual(['code', 'events', 'outputs', 'plxlogs'])
  })

  it('hold an empty folder and names with spaces, non-ASCII characters and + # % &', () => {
    expect(readdirSync(experiment('checkpoints'))).toEqual([])
    expect(readdirSync(experiment('notes')).sort()).toEqual([
      'learning rate + batch size #2 (50% & up).txt',
      'übersicht – résumé 模型.txt',
    ])
  })
})

describe('its model', () => {
  it('is a safetensors file of exactly 64 MiB whose tensors fill it without a gap', () => {
    const file = readFileSync(experiment(SAMPLE_MODEL))
    expect(file.length).toBe(64 * 1024 * 1024)
    const indexLength = Number(file.readBigUInt64LE(0))
    const index = JSON.parse(file.toString('utf8', 8, 8 + indexLength)) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: number[] }
    >
    let end = 0
    for (const [name, { dtype, shape, data_offsets }] of Object.entries(index)) {
      if (name === '__metadata__') continue
      expect(dtype).toBe('F32')
      expect(data_offsets).toEqual([end, end + shape.reduce((product, side) => product * side, 4)])
      end = data_offsets[1]!
    }
    expect(8 + indexLength + end).toBe(file.length)
  })

  it('holds small finite weights that do not repeat', () => {
    const file = readFileSync(experiment(SAMPLE_MODEL))
    const weights = Array.from({ length: 100_000 }, (_, index) => file.readFloatLE(1024 + index * 4 * 160))
    expect(weights.every(weight => Math.abs(weight) >= 2 ** -7 && Math.abs(weight) < 2 ** -6)).toBe(true)
    expect(new Set(weights).size).toBeGreaterThan(99_000)
  })
})

describe('its event files', () => {
  /** CRC-32C bit by bit, as RFC 3720 defines it: independent of the table that the sample uses. */
  function crc32c(data: Uint8Array): number {
    let crc = 0xffffffff
    for (const byte of data) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    }
    return (crc ^ 0xffffffff) >>> 0
  }

  function unmasked(masked: number): number {
    const rotated = (masked - 0xa282ead8) >>> 0
    return ((rotated >>> 17) | (rotated << 15)) >>> 0
  }

  function records(file: Buffer): Buffer[] {
    const found: Buffer[] = []
    for (let at = 0; at < file.length;) {
      const length = Number(file.readBigUInt64LE(at))
      const data = file.subarray(at + 12, at + 12 + length)
      expect(unmasked(file.readUInt32LE(at + 8))).toBe(crc32c(file.subarray(at, at + 8)))
      expect(unmasked(file.readUInt32LE(at + 12 + length))).toBe(crc32c(data))
      found.push(data)
      at += 16 + length
    }
    return found
  }

  it('compute the check value of CRC-32C right in this test', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  })

  it.each([SAMPLE_EXPERIMENT, SAMPLE_GROUPED_EXPERIMENT])('hold records with valid checksums in %s', run => {
    const [path] = globSync(join(sample, run, 'tensorboard/events.out.tfevents.*'))
    const [first, ...scalars] = records(readFileSync(path!))
    // wall_time (field 1, 64 bits), file_version (field 3, text).
    expect([first![0], first![9], first!.toString('latin1', 11)]).toEqual([0x09, 0x1a, 'brain.Event:2'])
    expect(scalars).toHaveLength(240 * 3)
    // The last value of the CSV is the last one here: summary > value > simple_value is the last field of the record.
    const last = readFileSync(join(sample, run, 'metrics.csv'), 'utf8')
      .trimEnd()
      .split(/[\n,]/)
      .at(-1)
    expect(scalars.at(-1)!.readFloatLE(scalars.at(-1)!.length - 4)).toBeCloseTo(Number(last), 6)
    expect(scalars.at(-1)!.toString('latin1')).toContain('accuracy')
  })
})

describe('its plots', () => {
  /** CRC-32 bit by bit (ISO 3309): zlib's own is what the encoder uses. */
  function crc32(data: Uint8Array): number {
    let crc = 0xffffffff
    for (const byte of data) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    }
    return (crc ^ 0xffffffff) >>> 0
  }

  function chunks(file: Buffer): { type: string; data: Buffer }[] {
    expect(file.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n')
    const found: { type: string; data: Buffer }[] = []
    for (let at = 8; at < file.length;) {
      const length = file.readUInt32BE(at)
      expect(file.readUInt32BE(at + 8 + length)).toBe(crc32(file.subarray(at + 4, at + 8 + length)))
      found.push({
        type: file.toString('latin1', at + 4, at + 8),
        data: file.subarray(at + 8, at + 8 + length),
      })
      at += 12 + length
    }
    return found
  }

  it('are PNG images with valid checksums, whole rows, and both curves on them', () => {
    const plots = globSync(join(sample, '**/loss.png'))
    expect(plots).toHaveLength(3)
    for (const plot of plots) {
      const found = chunks(readFileSync(plot))
      expect(found.map(({ type }) => type)).toEqual(['IHDR', 'PLTE', 'IDAT', 'IEND'])
      const [head, palette, image] = found.map(({ data }) => data) as [Buffer, Buffer, Buffer]
      const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)]
      const rows = inflateSync(image)
      expect(rows.length).toBe((width + 1) * height)
      const counts = new Map<number, number>()
      for (let y = 0; y < height; y++) {
        expect(rows[y * (width + 1)]).toBe(0)
        for (const pixel of rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)))
          counts.set(pixel, (counts.get(pixel) ?? 0) + 1)
      }
      expect(Math.max(...counts.keys())).toBeLessThan(palette.length / 3)
      expect(counts.get(3)).toBeGreaterThan(1000)
      expect(counts.get(4)).toBeGreaterThan(1000)
    }
  })
})

interface MetricLine {
  readonly step: number
  readonly metrics: Readonly<Record<'train_loss' | 'valid_loss' | 'accuracy', number>>
}

describe('its text files', () => {
  it('include a notebook of format 4 with the keys that the format requires', () => {
    const notebook = JSON.parse(readFileSync(experiment('notebooks/loss.ipynb'), 'utf8'))
    expect(Object.keys(notebook).sort()).toEqual(['cells', 'metadata', 'nbformat', 'nbformat_minor'])
    expect([notebook.nbformat, notebook.nbformat_minor]).toEqual([4, 5])
    for (const cell of notebook.cells) {
      expect(cell).toMatchObject({
        id: expect.stringMatching(/^[a-zA-Z0-9-_]+$/),
        metadata: {},
        source: expect.any(Array),
      })
      if (cell.cell_type === 'code')
        expect(cell).toMatchObject({ execution_count: expect.any(Number), outputs: expect.any(Array) })
    }
    const picture = notebook.cells.at(-1).outputs[0].data['image/png'] as string
    expect(Buffer.from(picture, 'base64')).toEqual(readFileSync(experiment('plots/loss.png')))
  })

  it('tell the same metrics as CSV, JSONL and Polyaxon events', () => {
    const run = (path: string) => readFileSync(join(sample, SAMPLE_RUN, path), 'utf8')
    const events = run('events/metric/loss.plx').trimEnd().split('\n')
    expect(events[0]).toBe('step|timestamp|metric')
    const jsonl = run('outputs/metrics.jsonl')
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as MetricLine)
    expect(jsonl).toHaveLength(240)
    expect(events.slice(1).map(line => Number(line.split('|')[2]))).toEqual(
      jsonl.map(line => line.metrics.train_loss),
    )
    const csv = readFileSync(experiment('metrics.csv'), 'utf8').trimEnd().split('\n')
    expect(csv[0]).toBe('step,train_loss,valid_loss,accuracy')
    const rows = readFileSync(experiment('metrics.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as MetricLine)
    expect(csv.slice(1)).toEqual(rows.map(({ step, metrics }) => [step, ...Object.values(metrics)].join(',')))
  })

  it('include logs of a 2.x run: an empty line, then a JSON object on each', () => {
    const [first, ...lines] = readFileSync(globSync(join(sample, SAMPLE_RUN, 'plxlogs/*.jsonl'))[0]!, 'utf8')
      .trimEnd()
      .split('\n')
    expect(first).toBe('')
    for (const line of lines)
      expect(Object.keys(JSON.parse(line) as object)).toEqual([
        'timestamp',
        'value',
        'node',
        'pod',
        'container',
      ])
  })
})

it.each([[], ['--help']])('the command says how it is used where it is given no folder: %j', (...args) => {
  const script = fileURLToPath(new URL('../../src/sample/make.ts', import.meta.url))
  const empty = mkdtempSync(join(folder, 'empty-'))
  const { status, stderr } = spawnSync(process.execPath, [script, ...args], { cwd: empty, encoding: 'utf8' })
  expect([status, stderr]).toEqual([64, 'Usage: node src/sample/make.ts DIR\n'])
  expect(readdirSync(empty)).toEqual([])
})
