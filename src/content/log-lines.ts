// One line of a run's log: read from what the versions of Polyaxon wrote, given as its clients take it.
import { jsonText } from './json-text.ts'
import { parseLogTime } from './log-time.ts'
import type { LogTime } from './log-time.ts'
import type { Division } from './log-records.ts'

/** By the name, as Polyaxon's own services tell them apart: `.plx` first, then `.jsonl`; all others hold `{"logs":[…]}`. */
export type LogFormat = 'csv' | 'jsonl' | 'chunk'

export function logFormatOf(name: string): LogFormat {
  if (name.includes('.plx')) return 'csv'
  return name.includes('.jsonl') ? 'jsonl' : 'chunk'
}

export function divisionIn(format: LogFormat): Division {
  return format === 'chunk' ? 'unknown' : 'lines'
}

/** Where the line ran, each only where it is known. */
interface Origin {
  node?: string
  pod?: string
  container?: string
}

export interface LogLine extends Origin {
  readonly time: LogTime | undefined
  readonly value: string
}

const HEADER = 'timestamp|'
/** As Polyaxon writes it: the time first. Most of the time of a long log is spent in reading its times. */
const LEADING_TIME = /^\{"timestamp":"([^"\\]{10,40})"/
const LEADING_BYTES = 64
const BLANK = /^\s*$/

/** The line in a record; undefined where there is none. What cannot be understood is a line too: its text, as it stands, without a time. */
export function parseLine(format: LogFormat, bytes: Buffer): LogLine | undefined {
  const text = bytes.toString()
  if (BLANK.test(text)) return undefined
  if (format === 'csv') return csvLine(text)
  return objectLine(text) ?? rawLine(text)
}

/** Whether the whole of a record is there. */
export function isComplete(format: LogFormat, bytes: Buffer): boolean {
  const text = bytes.toString()
  return format === 'csv' ? csvValue(text) !== undefined : objectLine(text) !== undefined
}

/** The time of a record alone, or whether it has none, or holds no line. */
export function timeOf(format: LogFormat, bytes: Buffer): number | 'untimed' | 'blank' {
  const leading = format === 'csv' ? null : LEADING_TIME.exec(bytes.toString('latin1', 0, LEADING_BYTES))
  const quick = leading === null ? undefined : parseLogTime(leading[1])
  if (quick !== undefined) return quick.micros
  const line = parseLine(format, bytes)
  return line === undefined ? 'blank' : (line.time?.micros ?? 'untimed')
}

/** With no more fields than clients know: theirs refuse an answer with others. What is not known is left out, but the value, which they print, is always text. */
export function renderLine({ time, node, pod, container, value }: LogLine): string {
  return JSON.stringify({ timestamp: time?.text, node, pod, container, value })
}

export function rawLine(text: string): LogLine {
  return { time: undefined, value: text.trimEnd() }
}

function objectLine(text: string): LogLine | undefined {
  const fields = parseObject(text)
  const value = fields && valueText(fields['value'])
  if (fields === undefined || value === undefined) return undefined
  return {
    time: parseLogTime(fields['timestamp']),
    ...originOf(fields['node'], fields['pod'], fields['container']),
    value,
  }
}

/** `timestamp|node|pod|container|{"_":"value"}`, where the value may hold bars. */
function csvLine(text: string): LogLine | undefined {
  if (text.startsWith(HEADER)) return undefined
  const value = csvValue(text)
  if (value === undefined) return rawLine(text)
  const [time, node, pod, container] = text.split('|', 4)
  return {
    time: parseLogTime(time),
    ...originOf(node || undefined, pod || undefined, container || undefined),
    value,
  }
}

function csvValue(text: string): string | undefined {
  const bars = /^(?:[^|]*\|){4}/.exec(text)
  if (bars === null) return undefined
  const fields = parseObject(text.slice(bars[0].length))
  return fields && '_' in fields ? valueText(fields['_']) : undefined
}

function originOf(node: unknown, pod: unknown, container: unknown): Origin {
  return {
    ...(typeof node === 'string' && { node }),
    ...(typeof pod === 'string' && { pod }),
    ...(typeof container === 'string' && { container }),
  }
}

/** Undefined for what is nested too deeply to be written again. */
function valueText(value: unknown): string | undefined {
  if (typeof value === 'string') return value.toWellFormed()
  return value === undefined || value === null ? '' : jsonText(value)
}

const OBJECT = /^\s*\{/

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  // Asked first, for to fail takes many times as long, and all of a log may be such lines.
  if (!OBJECT.test(text)) return undefined
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
}
