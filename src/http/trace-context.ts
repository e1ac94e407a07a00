// W3C Trace Context (https://www.w3.org/TR/trace-context/): to which trace a request belongs, and what is said of it to others.
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** Of what this service does for the request: 16 hexadecimal digits. */
  readonly spanId: string
  /** For requests that are made on behalf of this one. */
  readonly traceparent: string
  /** Handed on as it came; undefined for a trace that begins here. */
  readonly tracestate: string | undefined
}

/** Version, trace, parent, flags; a later version may say more behind them (3.2.2). All digits are small. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/
const ZEROS = /^0+$/
/** What is handed on at least (3.3.1.5); a longer list is dropped as a whole rather than cut. */
const MAX_STATE = 512
const MAX_MEMBERS = 32
const KEY = /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})$/
/** Printable ASCII without comma and equals sign, not ending in a space. */
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/** The trace that the request belongs to, with a span of ours; a new one, which nobody has asked to record, where it names none or not by the rules. */
export function traceContextOf({ traceparent, tracestate }: IncomingHttpHeaders): TraceContext {
  const spanId = hexDigits().slice(16)
  const parent = typeof traceparent === 'string' ? parseParent(traceparent) : undefined
  if (parent === undefined) {
    const traceId = hexDigits()
    return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-00`, tracestate: undefined }
  }
  const { traceId, flags } = parent
  return {
    traceId,
    spanId,
    traceparent: `00-${traceId}-${spanId}-${flags}`,
    tracestate: typeof tracestate === 'string' && isState(tracestate) ? tracestate : undefined,
  }
}

function parseParent(text: string): { readonly traceId: string; readonly flags: string } | undefined {
  const [, version, traceId, parentId, flags] = TRACEPARENT.exec(text) ?? []
  if (version === undefined || traceId === undefined || parentId === undefined || flags === undefined)
    return undefined
  // Version 00 has exactly four parts, and ff is none (3.2.2.1).
  if (version === 'ff' || (version === '00' && text.length !== 55)) return undefined
  if (ZEROS.test(traceId) || ZEROS.test(parentId)) return undefined
  // Of the flags only that the trace is recorded is known to every version (4.2).
  return { traceId, flags: (Number.parseInt(flags, 16) & 1) === 1 ? '01' : '00' }
}

function isState(text: string): boolean {
  if (text.length > MAX_STATE) return false
  const members = text.split(',').map(member => member.trim())
  const named = members.filter(member => member !== '')
  const keys = named.map(member => member.slice(0, Math.max(0, member.indexOf('='))))
  return (
    named.length > 0 &&
    named.length <= MAX_MEMBERS &&
    new Set(keys).size === keys.length &&
    named.every((member, i) => KEY.test(keys[i]!) && VALUE.test(member.slice(keys[i]!.length + 1)))
  )
}

/** Node keeps random numbers for these ready, which makes them cheap; no part of one is all zeros. */
function hexDigits(): string {
  return randomUUID().replaceAll('-', '')
}
