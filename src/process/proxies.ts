// The proxies of the environment, for connections to stores.
import http from 'node:http'
import type { Environment } from '../config/environment.ts'

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]', '::1']

/**
 * Takes HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case, for every connection that is made from here on. What is on this machine is never asked through a proxy.
 *
 * Node's global agents then know the proxies, and agents that the drivers make ask them.
 */
export function useProxies(env: Environment): void {
  const given = env['NO_PROXY'] ?? env['no_proxy'] ?? ''
  const exempt = [...given.split(',').filter(host => host.trim() !== ''), ...LOOPBACK].join(',')
  http.setGlobalProxyFromEnv({ ...env, NO_PROXY: exempt, no_proxy: exempt })
}
