// Uploads to a process as it is run in production: what they cost, and what is left of them when they or the process end.
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { describeClient, findProgram } from '../client/programs.ts'
import { run } from '../client/run.ts'
import { ask } from '../support/client.ts'
import { GiB, hasProc, MiB, startProcess, until, type ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { hasSparseFiles, OutputsFolder, RUN_URL } from './outputs-folder.ts'

const folder = new OutputsFolder()
const source = new OutputsFolder()
const started: ServiceProcess[] = []

beforeAll(() => {
  folder.write('there.txt', 'before')
  source.writeSparse('warm.bin', 64 * MiB)
  source.writeSparse('large.bin', 2 * GiB)
})
afterEach(async () => {
  await Promise.all(started.splice(0).map(service => service.destroy()))
})
afterAll(() => {
  folder.remove()
  source.remove()
})

async function start(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const service = await startProcess(folder.root, { env })
  started.push(service)
  return service
}

async function begin(service: ServiceProcess, path: string, ...fields: string[]): Promise<Connection> {
  const connection = await Connection.open(service.port)
  connection.send(`PUT ${RUN_URL}${path} HTTP/1.1\r\nHost: localhost\r\n${fields.join('\r\n')}\r\n\r\n`)
  return connection
}

const names = (): string[] => readdirSync(folder.run).sort()
/** Waits until the service has begun to write something beside what is there. */
const begun = (): Promise<void> => until(() => names().length > 1)

it('asks for a body only when it wants it', async () => {
  const service = await start()
  const wanted = await begin(service, 'new.txt', 'Expect: 100-continue', 'Content-Length: 3')
  expect((await wanted.head()).status).toBe(100)
  wanted.send('abc')
  expect((await wanted.head()).status).toBe(201)
  const refused = await begin(
    service,
    'there.txt',
    'Expect: 100-continue',
    'Content-Length: 3',
    'If-None-Match: *',
  )
  expect((await refused.head()).status).toBe(412)
  expect((await ask(`${service.url}${RUN_URL}new.txt`, { method: 'DELETE' })).status).toBe(204)
  for (const connection of [wanted, refused]) connection.destroy()
})

it('finishes a running upload after SIGTERM and exits with 0', async () => {
  const service = await start()
  const client = await begin(service, 'there.txt', 'Content-Length: 6')
  client.send('af')
  await begun()
  service.kill('SIGTERM')
  await sleep(200)
  client.send('ter!')
  expect((await client.head()).status).toBe(204)
  await client.drain()
  expect(await service.ended).toEqual({ code: 0, signal: null })
  expect(readFileSync(folder.at('there.txt'), 'utf8')).toBe('after!')
  folder.write('there.txt', 'before')
})

it.each(['SIGTERM', 'SIGKILL'] as const)('shows nothing of an upload that %s cuts', async signal => {
  const service = await start({ DRAIN_TIMEOUT: '300ms' })
  const client = await begin(service, 'there.txt', 'Content-Length: 1000')
  client.send('half of it')
  await begun()
  service.kill(signal)
  await service.ended
  expect((await client.drain()).bytes).toBe(0)
  if (signal === 'SIGTERM') expect(names()).toEqual(['there.txt'])
  const next = await start()
  const listing = await ask(`${next.url}${RUN_URL}?format=text`)
  expect(listing.text).toBe('there.txt\n')
  expect((await ask(`${next.url}${RUN_URL}there.txt`)).text).toBe('before')
  for (const name of names()) if (name !== 'there.txt') folder.removePath(name)
})

describe.skipIf(!hasProc)('counting descriptors and memory in /proc (Linux only)', () => {
  it('has neither a descriptor nor a file left of 100 uploads that were cut', async () => {
    const service = await start()
    await ask(`${service.url}${RUN_URL}there.txt`)
    const before = service.descriptors().length
    const connections = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const connection = await begin(service, `cut/${i}.bin`, 'Content-Length: 100000')
        connection.send('x'.repeat(i * 100))
        return connection
      }),
    )
    await until(() => names().includes('cut') && readdirSync(folder.at('cut')).length === 100)
    for (const connection of connections) connection.reset()
    await until(() => !names().includes('cut'))
    await until(() => service.descriptors().length <= before + 2, {
      describe: () => service.descriptors().slice(before).join('\n'),
    })
    expect(names()).toEqual(['there.txt'])
  })

  describe.skipIf(!hasSparseFiles())('with sparse files (not on every file system)', () => {
    describeClient('curl', findProgram('curl'), curl => {
      it.each(['-T', '-F'])(
        'takes 2 GiB by %s in less than 100 MiB more, and writes no other file',
        async way => {
          const service = await start()
          const upload = async (name: string): Promise<string> => {
            const options = ['-q', '-sS', '--noproxy', '*', '-o', '/dev/null', '-w', '%{http_code}']
            const what = way === '-T' ? source.at(name) : `file=@${source.at(name)}`
            return (await run(curl, [...options, way, what, service.url + RUN_URL])).stdout.toString()
          }
          expect(await upload('warm.bin')).toBe('201')
          const idle = service.memory().resident
          service.resetPeak()
          expect(await upload('large.bin')).toBe('201')
          const growth = service.memory().peak - idle
          console.log(
            `2 GiB up by ${way}: ${Math.round(growth / MiB)} MiB over ${Math.round(idle / MiB)} MiB`,
          )
          expect(growth).toBeLessThan(100 * MiB)
          expect(names()).toEqual(['large.bin', 'there.txt', 'warm.bin'])
          for (const name of ['large.bin', 'warm.bin']) folder.removePath(name)
        },
      )
    })
  })
})
