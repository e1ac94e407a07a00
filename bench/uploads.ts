// What a very large upload costs, each way: seconds, memory, and whether a file appears anywhere but in the store's folder. Linux only.
import { once } from 'node:events'
import {
  constants,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { RUN, writeReadyFile } from './data.ts'
import { resetPeaks, usageOf } from './process-tree.ts'
import { launch, serviceOnFolder } from './variants.ts'
import type { Variant } from './variants.ts'

const HELP = `Usage: node bench/uploads.ts [--gib N] [--service FILE]

  --gib N         size of the file that is uploaded by each way, in GiB (default 5)
  --service FILE  the program to start (default src/main.ts)

The temporary folder has to have room for it twice.
`

const GiB = 2 ** 30
const MiB = 2 ** 20
/** Uploaded first, so that the service is as large as it is in use. */
const WARM_BYTES = 64 * MiB
/** How often it is seen what the service has open. */
const WATCH_MS = 100
const TAR_BLOCK = 512

/** Uploads `size` bytes of the file `source` so that they become `name` in the run. */
type Way = (port: number, source: string, size: number, name: string) => Promise<unknown>

const put: Way = (port, source, size, name) =>
  send(port, source, size, { method: 'PUT', path: `/outputs/${RUN}/${name}` })

const form: Way = (port, source, size, name) => {
  const start = `--bench\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`
  const headers = { 'content-type': 'multipart/form-data; boundary=bench' }
  const options = { method: 'POST', path: `/outputs/${RUN}/`, headers }
  return send(port, source, size, options, Buffer.from(start), Buffer.from('\r\n--bench--\r\n'))
}

const tus: Way = async (port, source, size, name) => {
  const resumable = { 'tus-resumable': '1.0.0' }
  const metadata = `path ${Buffer.from(`${RUN}/${name}`).toString('base64')}`
  const creation = { ...resumable, 'upload-length': size, 'upload-metadata': metadata }
  const { headers } = await exchange(port, { method: 'POST', path: '/uploads', headers: creation })
  const { pathname } = new URL(headers.location!, `http://127.0.0.1:${port}/uploads`)
  const content = { ...resumable, 'upload-offset': 0, 'content-type': 'application/offset+octet-stream' }
  await send(port, source, size, { method: 'PATCH', path: pathname, headers: content })
}

const tar: Way = (port, source, size, name) => {
  const padding = (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK
  const options = { method: 'PUT', path: `/outputs/${RUN}/?unpack=tar` }
  return send(port, source, size, options, tarHeader(name, size), Buffer.alloc(padding + 2 * TAR_BLOCK))
}

/** POSIX ustar; sizes below 8 GiB. */
function tarHeader(name: string, size: number) {
  const header = Buffer.alloc(TAR_BLOCK)
  header.write(name, 0)
  header.write('0000644\0', 100)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write(' '.repeat(8), 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

const WAYS: readonly (readonly [name: string, way: Way])[] = [
  ['PUT', put],
  ['multipart form', form],
  ['tus', tus],
  ['unpacked tar', tar],
]

type Sending = Omit<RequestOptions, 'headers'> & {
  readonly headers?: Readonly<Record<string, string | number>>
}

function send(
  port: number,
  source: string,
  size: number,
  { headers, ...options }: Sending,
  before = Buffer.alloc(0),
  after = Buffer.alloc(0),
): Promise<IncomingMessage> {
  const length = before.length + size + after.length
  async function* body() {
    yield before
    yield* createReadStream(source, { end: size - 1, highWaterMark: MiB }) as AsyncIterable<Buffer>
    yield after
  }
  return exchange(port, { ...options, headers: { ...headers, 'content-length': length } }, body())
}

/** Fails for an answer that is no success. */
async function exchange(
  port: number,
  options: RequestOptions,
  body: AsyncIterable<Buffer> | readonly Buffer[] = [],
): Promise<IncomingMessage> {
  const asking = request({ host: '127.0.0.1', port, agent: false, ...options })
  const answered = once(asking, 'response') as Promise<[IncomingMessage]>
  const [[answer]] = await Promise.all([answered, pipeline(body, asking)])
  const text = (await answer.setEncoding('utf8').toArray()).join('')
  if (answer.statusCode! >= 300)
    throw new Error(`${options.method} ${options.path}: ${answer.statusCode} ${text}`)
  return answer
}

async function run(size: number, program: string): Promise<void> {
  await using cleanup = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'outputs-bench-'))
  cleanup.defer(() => rmSync(folder, { recursive: true }))
  const root = join(folder, 'outputs')
  const scratch = join(folder, 'scratch')
  mkdirSync(root)
  const source = join(folder, 'source')
  writeFileSync(source, '')
  truncateSync(source, Math.max(size, WARM_BYTES))
  const readyFile = writeReadyFile(root)
  const warm = `after ${WARM_BYTES / MiB} MiB`
  console.log(
    `| ${Number((size / GiB).toFixed(2))} GiB by | seconds | RSS at first | ${warm} | peak | files elsewhere |`,
  )
  console.log('|---|---|---|---|---|---|')
  for (const [name, way] of WAYS) {
    await using server = await launch(withTemporaries, { root, scratch, service: program }, readyFile)
    const pid = server.pid!
    const atFirst = residentOf(pid)
    await way(server.port, source, WARM_BYTES, 'warm.bin')
    const afterWarm = residentOf(pid)
    const elsewhere = new Set<string>()
    const watch = setInterval(() => {
      for (const path of filesElsewhere(pid, root, scratch)) elsewhere.add(path)
    }, WATCH_MS)
    const startMs = performance.now()
    try {
      await way(server.port, source, size, 'large.bin')
    } finally {
      clearInterval(watch)
    }
    const seconds = (performance.now() - startMs) / 1000
    const memory = [atFirst, afterWarm, usageOf(pid)!.peakRssBytes].map(
      bytes => `${Math.round(bytes / MiB)} MiB`,
    )
    const stored = join(root, RUN, 'large.bin')
    await checkZeros(stored, size)
    rmSync(stored)
    const found = [...elsewhere].join(' ') || 'none'
    console.log(`| ${[name, seconds.toFixed(1), ...memory, found].join(' | ')} |`)
  }
}

function residentOf(pid: number): number {
  resetPeaks(pid)
  return usageOf(pid)!.peakRssBytes
}

/** The service with a temporary folder of its own. */
const withTemporaries: Variant = {
  ...serviceOnFolder,
  command: options => {
    const command = serviceOnFolder.command(options)
    return { ...command, env: { ...command.env, TMPDIR: options.scratch } }
  },
}

/** What the service writes to outside of the store's folder, and what is in its temporary folder. */
function filesElsewhere(pid: number, root: string, scratch: string): string[] {
  const open = readdirSync(`/proc/${pid}/fd`).flatMap(descriptor => {
    // The first three are from whoever started it.
    if (Number(descriptor) < 3) return []
    try {
      const flags = /^flags:\s+0*([0-7]+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8'))
      const isWritten = (Number.parseInt(flags![1]!, 8) & (constants.O_WRONLY | constants.O_RDWR)) !== 0
      return isWritten ? [readlinkSync(`/proc/${pid}/fd/${descriptor}`)] : []
    } catch {
      // Closed since the folder was read.
      return []
    }
  })
  const foreign = open.filter(
    path => /^\/(?!dev\/|proc\/)/.test(path) && path !== root && !path.startsWith(`${root}/`),
  )
  return [...foreign, ...readdirSync(scratch).map(name => join(scratch, name))]
}

async function checkZeros(path: string, size: number): Promise<void> {
  if (statSync(path).size !== size) throw new Error(`${path} has ${statSync(path).size} bytes, not ${size}`)
  const zeros = Buffer.alloc(MiB)
  for await (const chunk of createReadStream(path, { highWaterMark: MiB }) as AsyncIterable<Buffer>)
    if (!zeros.subarray(0, chunk.length).equals(chunk)) throw new Error(`${path} has other bytes`)
}

const { values } = parseArgs({
  options: {
    gib: { type: 'string', default: '5' },
    service: { type: 'string', default: 'src/main.ts' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) console.log(HELP)
else await run(Math.round(Number(values.gib) * GiB), values.service)
