// The settings of the service that is asked who may do what.
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'

type Env = Readonly<Record<string, string>>

async function load(env: Env) {
  return loadConfig({ argv: [], env, cwd: '/' })
}

async function faultsOf(env: Env): Promise<string[]> {
  const loaded = await load(env)
  return loaded.outcome === 'faults' ? loaded.faults.map(({ where, problem }) => `${where}: ${problem}`) : []
}

const URL = 'http://polyaxon-api/auth'

describe('a service that is asked', () => {
  it('has its defaults', async () => {
    const loaded = await load({ AUTH_FORWARD_URL: URL, OUTPUTS_PATH: '/tmp' })
    expect(loaded).toMatchObject({
      config: {
        auth: {
          forward: {
            url: URL,
            preset: 'nginx',
            namespace: 'polyaxon',
            timeoutMs: 5000,
            yesMs: 60_000,
            noMs: 5000,
          },
        },
      },
    })
  })

  it('lets the service listen where others can reach it', async () => {
    const env = { HOST: '0.0.0.0', OUTPUTS_PATH: '/tmp' }
    expect(await faultsOf(env)).toEqual([expect.stringMatching(/no authentication is configured/)])
    expect(await faultsOf({ ...env, AUTH_FORWARD_URL: URL })).toEqual([])
  })

  it.each<Env>([
    { AUTH_FORWARD_URL: 'polyaxon-api' },
    { AUTH_FORWARD_URL: 'ftp://polyaxon-api' },
    { AUTH_FORWARD_URL: 'http://user:hunter2@polyaxon-api' },
    { AUTH_FORWARD_URL: 'http://hunter2@polyaxon-api' },
    { AUTH_FORWARD_URL: URL, AUTH_FORWARD_PRESET: 'polyaxon-1' },
    { AUTH_FORWARD_URL: URL, AUTH_FORWARD_NAMESPACE: 'a/b' },
    { AUTH_FORWARD_URL: URL, AUTH_FORWARD_NAMESPACE: '..' },
    { AUTH_FORWARD_URL: URL, AUTH_FORWARD_TIMEOUT: '5' },
    { AUTH_FORWARD_PRESET: 'polyaxon-2' },
    { AUTH_FORWARD_CACHE_ALLOWED: '10s' },
  ])('%j is a fault', async env => {
    const faults = await faultsOf({ OUTPUTS_PATH: '/tmp', ...env })
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(Object.keys(env).at(-1))
    expect(faults[0]).not.toContain('hunter2')
  })
})
