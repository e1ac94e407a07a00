// Authorities as a test needs them.
import type { IncomingMessage } from 'node:http'
import type { Access, Authority, Verdict } from '../../src/http/gate.ts'

/** Recognises everybody as `somebody`, of whose requests `judge` says what they may. */
export function judging(judge: (access: Access, request: IncomingMessage) => Promise<Verdict>): Authority {
  return {
    recognise: request =>
      Promise.resolve({
        name: 'somebody',
        seesAll: false,
        judge: access => judge(access, request),
      }),
  }
}
