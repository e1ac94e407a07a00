// A real nginx with a configuration of a test's choice, in a folder of its own.
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ask } from './client.ts'
import { until } from './process.ts'

export interface Nginx {
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string
  stop(): Promise<void>
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** `http` is what stands in the block of that name; its server listens on the address that it is given. */
export async function startNginx(http: (address: string) => string): Promise<Nginx> {
  const work = mkdtempSync(join(tmpdir(), 'outputs-nginx-'))
  // Started by root, nginx works as another user.
  chmodSync(work, 0o755)
  const address = `127.0.0.1:${await freePort()}`
  writeFileSync(
    join(work, 'nginx.conf'),
    `
daemon off;
worker_processes 1;
pid ${work}/nginx.pid;
error_log ${work}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${work}/body;
  proxy_temp_path ${work}/proxy;
  fastcgi_temp_path ${work}/fastcgi;
  uwsgi_temp_path ${work}/uwsgi;
  scgi_temp_path ${work}/scgi;
${http(address)}
}`,
  )
  const nginx = spawn('nginx', ['-p', work, '-c', join(work, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  nginx.stderr.on('data', (text: Buffer) => (log += text.toString()))
  const ended = new Promise(resolve => nginx.once('exit', resolve))
  const stop = async (): Promise<void> => {
    nginx.kill('SIGTERM')
    await ended
    rmSync(work, { recursive: true })
  }
  const answers = (): Promise<boolean> =>
    ask(`http://${address}/healthz`).then(
      () => true,
      () => false,
    )
  try {
    await until(answers, { describe: () => log })
  } catch (error) {
    await stop()
    throw error
  }
  return { origin: `http://${address}`, stop }
}
