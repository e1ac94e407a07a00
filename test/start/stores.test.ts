// A start with several stores, of which some are away.
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { until } from '../support/process.ts'
import { endAll, launch, printedUrl, temporaryFolder } from './launch.ts'

const work = temporaryFolder()
afterEach(endAll)
afterAll(() => work.remove())

it('goes on without a store that is down, and says where everything is', async () => {
  const data = join(work.path, 'data')
  mkdirSync(join(data, 'ann/mnist/jobs/1'), { recursive: true })
  writeFileSync(join(data, 'ann/mnist/jobs/1/a.txt'), 'content')
  const lake = { store: 's3', bucket: 's3://lake/outputs', region: 'eu-west-1', verify: false }
  writeFileSync(
    join(work.path, 'config.yaml'),
    stringify({
      persistence: { outputs: { data: { mountPath: data, existingClaim: 'data' }, lake } },
    }),
  )
  const gone = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => gone.once('listening', resolve))
  const { port } = gone.address() as AddressInfo
  await new Promise(resolve => gone.close(resolve))
  const service = launch({
    cwd: work.path,
    argv: ['--config', 'config.yaml'],
    env: {
      AWS_ACCESS_KEY_ID: 'OURKEY',
      AWS_SECRET_ACCESS_KEY: 'OURSECRET',
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      LOG_LEVEL: 'debug',
    },
  })
  const url = await printedUrl(service)
  expect(service.stdout()).toContain(`serves data (local ${data}), lake (s3 lake/outputs)`)

  const run = `${url}/outputs/ann/mnist/jobs/1`
  expect(await (await fetch(`${run}/a.txt`)).text()).toBe('content')
  const refused = await fetch(`${run}/a.txt?connection=lake`)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
  expect(await refused.json()).toMatchObject({
    trouble: 'unreachable',
    detail: "The outputs store 'lake' cannot be reached: try again later.",
  })
  await until(async () => {
    const ready = await fetch(`${url}/readyz`)
    expect(ready.status).toBe(200)
    const { stores } = (await ready.json()) as { stores: { name: string; trouble?: string }[] }
    return stores[0]?.trouble === undefined && stores[1]?.trouble === 'unreachable'
  })
  const warnings = () =>
    service
      .stderr()
      .split('\n')
      .filter(line => line.includes('"level":40'))
      .map(line => JSON.parse(line) as { msg: string; connection?: string; requestId?: string })
      // Requests that met with it have lines of their own.
      .filter(({ requestId }) => requestId === undefined)
  await until(() => warnings().some(({ connection }) => connection === 'lake'))
  expect(warnings()[0]!.msg).toMatch(/lake\.verify .*certificates/)
  expect(warnings().filter(({ connection }) => connection === 'lake')).toHaveLength(1)
  expect(service.stderr()).not.toContain('OURSECRET')
})
