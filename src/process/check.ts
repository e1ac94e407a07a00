// `--check`: tries what every configured store lets the service do, and serves nothing.
import { existsSync } from 'node:fs'
import { allStores, type Config } from '../config/config.ts'
import { AppError } from '../errors.ts'
import type { StoreDefinition } from '../store/definition.ts'
import { openStores } from '../store/open.ts'
import type { ArtifactStore, Probe, ProbeStep } from '../store/store.ts'
import { placeOf } from './place.ts'
import { printable } from './printable.ts'

/** Longer than an object store that does not answer is tried again, to list and then to write. */
const PATIENCE_MS = 60_000
const STEPS = ['list', 'read', 'write', 'deliver'] as const

type Probed = Required<Pick<ArtifactStore, 'probe'>>

interface Finding {
  readonly definition: StoreDefinition
  readonly probe: Probe
}

/**
 * Tries all stores side by side and hands a report for a person to `write`. Whether everything that was tried worked; a store without an answer within `patienceMs` did not.
 */
export async function checkStores(
  config: Config,
  write: (text: string) => void,
  patienceMs = PATIENCE_MS,
): Promise<boolean> {
  const definitions = allStores(config)
  const stores = await openStores(definitions, config.store)
  const findings = await Promise.all(
    definitions.map(async definition => {
      const probe = isToBeMade(definition)
        ? allSkipped('the folder is made at the first start, with a sample in it')
        : await probeWithin(patienceMs, definition.name, stores.get(definition.name) as Probed)
      return { definition, probe }
    }),
  )
  write(reportOf(findings))
  return findings.every(({ probe }) => STEPS.every(step => probe[step]?.result !== 'failed'))
}

/** The default folder, which a start makes and a check does not. */
function isToBeMade(definition: StoreDefinition): boolean {
  return definition.kind === 'local' && definition.isDefault && !existsSync(definition.path)
}

async function probeWithin(patienceMs: number, name: string, store: Probed): Promise<Probe> {
  const { promise: outOfPatience, resolve } = Promise.withResolvers<Probe>()
  const stop = new AbortController()
  const timer = setTimeout(() => {
    stop.abort()
    const error = new AppError(
      'Unavailable',
      `The outputs store '${name}' did not answer within ${patienceMs / 1000} s.`,
      { trouble: 'timeout' },
    )
    resolve({
      ...allSkipped('the store did not answer'),
      list: { result: 'failed', elapsedMs: patienceMs, error },
    })
  }, patienceMs)
  try {
    return await Promise.race([store.probe({ signal: stop.signal }), outOfPatience])
  } finally {
    clearTimeout(timer)
  }
}

function allSkipped(detail: string): Probe {
  const skipped: ProbeStep = { result: 'skipped', detail }
  return { list: skipped, read: skipped, write: skipped }
}

const HEAD = ['CONNECTION', 'KIND', 'PLACE', ...STEPS.map(step => step.toUpperCase())]

/** Names, places and messages are others' text: each is made printable before it becomes a part of a line. */
function reportOf(findings: readonly Finding[]): string {
  const rows = findings.map(({ definition, probe }) =>
    [definition.name, definition.kind, placeOf(definition), ...STEPS.map(step => resultOf(probe[step]))].map(
      printable,
    ),
  )
  const remarks = findings.flatMap(remarksOf).map(printable)
  return [...table([HEAD, ...rows]), '', ...remarks].join('\n').trimEnd() + '\n'
}

/** A step that was tried says how long it took. */
function resultOf(step: ProbeStep | undefined): string {
  if (step === undefined) return '-'
  const { result } = step
  if (result === 'skipped' || step.elapsedMs === undefined) return result
  return `${result} ${Math.ceil(step.elapsedMs)} ms`
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}

/** What the steps say beyond their results, equal remarks once. */
function remarksOf({ definition, probe }: Finding): string[] {
  const stepsByRemark = Map.groupBy(STEPS, step => remarkOf(probe[step]))
  return [...stepsByRemark].flatMap(([remark, steps]) =>
    remark === undefined ? [] : [`${definition.name}: ${steps.join(', ')} ${remark}`],
  )
}

function remarkOf(step: ProbeStep | undefined): string | undefined {
  if (step === undefined) return undefined
  if (step.result === 'failed') {
    const reasons = [step.error.trouble ?? step.error.kind, rootCauseOf(step.error)]
    return `failed (${reasons.filter(reason => reason !== undefined).join(', ')}): ${step.error.message}`
  }
  return step.detail === undefined ? undefined : `${step.result}: ${step.detail}.`
}

/** The code or name of what made it fail in the end, such as ECONNREFUSED or InvalidAccessKeyId. */
function rootCauseOf(error: AppError): string | undefined {
  let root: unknown = error
  while (root instanceof Error && root.cause instanceof Error) root = root.cause
  if (root === error || !(root instanceof Error)) return undefined
  const { code } = root as NodeJS.ErrnoException
  return typeof code === 'string' ? code : root.name
}
