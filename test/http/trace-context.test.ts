// The trace of a request, from its header to the requests that a store gets on its behalf.
import { channel } from 'node:diagnostics_channel'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { traceContextOf } from '../../src/http/trace-context.ts'
import { ask } from '../support/client.ts'
import { ScriptedAzure } from '../support/scripted-azure.ts'
import { ScriptedGcs } from '../support/scripted-gcs.ts'
import { ScriptedS3 } from '../support/scripted-s3.ts'
import { startService } from '../support/service.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'
const GIVEN = `00-${TRACE}-${PARENT}-01`

describe('traceparent', () => {
  it.each([
    [GIVEN, '01'],
    [`00-${TRACE}-${PARENT}-00`, '00'],
    [`00-${TRACE}-${PARENT}-ff`, '01'],
    [`cc-${TRACE}-${PARENT}-01-what-the-future-says`, '01'],
  ])('%s is gone on with', (traceparent, flags) => {
    const context = traceContextOf({ traceparent, tracestate: 'a=1' })
    expect(context.traceId).toBe(TRACE)
    expect(context.spanId).not.toBe(PARENT)
    expect(context.traceparent).toBe(`00-${TRACE}-${context.spanId}-${flags}`)
    expect(context.tracestate).toBe('a=1')
  })

  it.each([
    undefined,
    '',
    'x',
    `${GIVEN}-more`,
    `ff-${TRACE}-${PARENT}-01`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}`,
  ])('%s begins a trace that nobody asked to record', traceparent => {
    const headers: IncomingHttpHeaders = {
      tracestate: 'a=1',
      ...(traceparent !== undefined && { traceparent }),
    }
    const context = traceContextOf(headers)
    expect(context.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
    expect(context.traceId).not.toBe(TRACE)
    expect(context.tracestate).toBeUndefined()
  })
})

it.each([
  ['a=1', true],
  ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', true],
  ['tenant@system=x y', true],
  ['', false],
  ['a', false],
  ['a=1,a=2', false],
  ['A=1', false],
  ['a=\u0007', false],
  [`a=${'x'.repeat(600)}`, false],
])('tracestate %j is handed on: %s', (tracestate, isHandedOn) => {
  const context = traceContextOf({ traceparent: GIVEN, tracestate })
  expect(context.tracestate).toBe(isHandedOn ? tracestate : undefined)
})

describe.each([
  ['S3', ScriptedS3],
  ['Cloud Storage', ScriptedGcs],
  ['Azure', ScriptedAzure],
] as const)('%s', (_name, Server) => {
  const seen: IncomingHttpHeaders[] = []
  const started = channel('http.server.request.start')
  const see = (message: unknown): void =>
    void seen.push((message as { readonly request: IncomingMessage }).request.headers)
  beforeEach(() => {
    seen.length = 0
    started.subscribe(see)
  })
  afterEach(() => {
    started.unsubscribe(see)
  })

  it('learns for which trace it is asked', async () => {
    const server = await Server.start()
    const service = await startService('', {}, server.store())
    const headers = { traceparent: GIVEN, tracestate: 'a=1' }
    await ask(`${service.url}/outputs/ann/mnist/experiments/1/a.txt`, { headers })
    // Besides it, the store is swept on nobody's behalf.
    const own = `127.0.0.1:${service.port}`
    const atStore = seen.filter(({ host, traceparent }) => host !== own && traceparent !== undefined)
    expect(atStore.length).toBeGreaterThan(0)
    for (const each of atStore) {
      expect(each.traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`))
      expect(each.traceparent).not.toBe(GIVEN)
      expect(each.tracestate).toBe('a=1')
    }
    await service.close()
    await server.close()
  })
})
