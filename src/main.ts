// The process: checks the Node it runs on, sizes the thread pool, and starts. The only reader of the environment.
//
// It has no static imports: older versions of Node could not load them, and whatever they use could start the pool at its default size.
const LEAST_NODE = 24

if (Number.parseInt(process.versions.node) < LEAST_NODE) {
  process.stderr.write(
    `polyaxon-outputs needs Node.js ${LEAST_NODE} or newer, but this is ${process.versions.node} (${process.execPath}). ` +
      '`npm ci && npm start` brings one of its own.\n',
  )
  process.exitCode = 1
} else {
  // With libuv's default of 4, four reads from a hung network mount would stop every other file operation. Threads are made when first used.
  process.env['UV_THREADPOOL_SIZE'] ||= '128'
  const { run } = await import('./process/run.ts')
  await run({ argv: process.argv.slice(2), env: process.env, cwd: process.cwd() })
}

export {}
