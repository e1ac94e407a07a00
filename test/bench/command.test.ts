// What a command line cost has to be right, or the comparison with servers means nothing.
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { runCommand } from '../../bench/client/command.ts'
import type { CommandLine } from '../../bench/client/command.ts'

const noPython =
  process.env['REQUIRE_TOOLS'] !== '1' && spawnSync('python3', ['--version']).error !== undefined
const { signal } = new AbortController()

const shell = (script: string): CommandLine => ({ program: 'sh', args: ['-c', script], env: process.env })
const python = (script: string): CommandLine => ({
  program: 'python3',
  args: ['-c', script],
  env: process.env,
})

describe.skipIf(noPython)('a measured command (needs python3)', () => {
  it('counts and hashes what it wrote', async () => {
    const line = python('import sys; sys.stdout.write("ab" * 1_500_000)')
    const expected = createHash('sha256').update('ab'.repeat(1_500_000)).digest('hex')
    const result = await runCommand(line, { hash: true, signal })
    expect(result).toMatchObject({ bytes: 3_000_000, sha256: expected })
    expect(result.firstByteMs).toBeGreaterThan(0)
    expect(result.firstByteMs).toBeLessThanOrEqual(result.seconds * 1000)
  })

  it('says nothing of a first byte where nothing was written', async () => {
    const result = await runCommand(shell('exit 0'), { signal })
    expect(result).toMatchObject({ bytes: 0, firstByteMs: undefined, sha256: undefined })
  })

  it('tells the CPU time of the command and of what it started, and not the time it waited', async () => {
    const burn = 'import time\nwhile time.process_time() < 0.3: pass'
    const { cpuSeconds } = await runCommand(shell(`python3 -c '${burn}'; sleep 2`), { signal })
    expect(cpuSeconds).toBeGreaterThanOrEqual(0.3)
    expect(cpuSeconds).toBeLessThan(1.5)
  })

  it('tells the peak of its memory', async () => {
    const { peakRssBytes } = await runCommand(python('b"x" * 100_000_000'), { signal })
    expect(peakRssBytes).toBeGreaterThan(100e6)
    expect(peakRssBytes).toBeLessThan(200e6)
  })

  it('fails with what the command said when it fails', async () => {
    await expect(runCommand(shell('echo no such bucket >&2; exit 3'), { signal })).rejects.toThrow(
      'sh -c ended with status 3: no such bucket',
    )
  })

  it('is ended when nobody wants it any more', async () => {
    const stop = new AbortController()
    // The command replaces the shell, so that it is what is ended.
    const marker = `31.${process.pid}`
    const ended = runCommand(shell(`exec sleep ${marker}`), { signal: stop.signal })
    const sleeps = () => spawnSync('pgrep', ['-f', `^sleep ${marker}$`]).status === 0
    while (!sleeps()) await sleep(20)
    stop.abort()
    await expect(ended).rejects.toThrow('aborted')
    while (sleeps()) await sleep(20)
  })
})
