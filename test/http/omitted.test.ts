// Artifacts that no path can name: a listing leaves them out, and says how many.
import { request } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { components } from '../../src/generated/api.d.ts'
import { ask } from '../support/checked.ts'
import { json } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { scriptedStore } from './scripted-store.ts'

const RUN = '/outputs/ann/mnist/experiments/1/'
let service: Service

beforeAll(async () => {
  const store = scriptedStore({
    list: async function* (path, options) {
      for await (const batch of store.memory.list(path, options)) {
        yield batch
        if (path.startsWith('ann/mnist/experiments/1')) options?.onOmitted?.(2)
      }
      if (path.startsWith('ann/mnist/experiments/1')) options?.onOmitted?.(1)
    },
  })
  for (const name of ['a.txt', 'b.txt', 'sub/c.txt']) store.write(`ann/mnist/experiments/1/${name}`, 'x')
  store.write('ann/mnist/experiments/2/a.txt', 'x')
  service = await startService('', {}, store)
})
afterAll(() => service.close())

const get = (target: string, headers: Record<string, string> = {}) => ask(service.url + target, { headers })

describe('the number of artifacts left out', () => {
  it('stands in JSON, of one level and recursive', async () => {
    for (const query of ['?format=json', '?format=json&recursive'])
      expect(json(await get(RUN + query))).toMatchObject({ omitted: 3 })
  })

  it('stands behind the entries of NDJSON, beside the summary', async () => {
    const lines = (await get(`${RUN}?format=ndjson&recursive`)).text.trimEnd().split('\n')
    const last = JSON.parse(lines.at(-1)!) as components['schemas']['SummaryLine']
    expect(last).toMatchObject({ omitted: 3, summary: { files: 3, complete: true } })
  })

  it('stands on pages for people and for programs', async () => {
    for (const accept of ['text/html', '*/*'])
      expect((await get(RUN, { accept })).text).toContain(
        'Left out: 3 objects with a key that no URL can name.',
      )
  })

  it('follows text, whose lines are names and nothing else, as a trailer', async () => {
    const trailers = await new Promise<NodeJS.Dict<string>>((resolve, reject) => {
      request(`${service.url}${RUN}?format=text`, answer => {
        expect(answer.headers.trailer).toBe('Outputs-Omitted')
        answer.resume().once('end', () => resolve(answer.trailers))
      })
        .on('error', reject)
        .end()
    })
    expect(trailers).toEqual({ 'outputs-omitted': '3' })
    expect((await get(`${RUN}?format=text`)).text).toBe('a.txt\nb.txt\nsub/\n')
    expect((await ask(`${service.url}${RUN}?format=text`, { method: 'HEAD' })).status).toBe(200)
  })

  it('is kept from clients of HTTP/1.0, whose messages have no place behind the text', async () => {
    const socket = connect(service.port, '127.0.0.1')
    socket.write(`GET ${RUN}?format=text HTTP/1.0\r\n\r\n`)
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).not.toMatch(/trailer|omitted/i)
    expect(answer.endsWith('\r\n\r\na.txt\nb.txt\nsub/\n')).toBe(true)
  })

  it('stands in the header of an archive', async () => {
    for (const method of ['GET', 'HEAD'])
      expect((await ask(`${service.url}${RUN}?archive=zip`, { method })).headers['outputs-omitted']).toBe('3')
  })

  it('is not spoken of where there are none', async () => {
    const other = '/outputs/ann/mnist/experiments/2/'
    expect(json(await get(`${other}?format=json`))).not.toHaveProperty('omitted')
    expect((await get(`${other}?format=ndjson`)).text).not.toContain('omitted')
    expect((await get(other, { accept: 'text/html' })).text).not.toContain('Left out')
    expect((await get(`${other}?archive=zip`)).headers['outputs-omitted']).toBeUndefined()
  })
})
