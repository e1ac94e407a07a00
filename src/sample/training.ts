// The training that the sample tells about: one series of numbers, which the CSV, the event file, the plot and the logs all show.
import { Random } from './random.ts'

export interface Step {
  readonly step: number
  /** Milliseconds since 1970. */
  readonly timeMs: number
  readonly trainLoss: number
  readonly validLoss: number
  readonly accuracy: number
}

/** When the sample's first run began; every other time in it is counted from here. */
export const STARTED_MS = Date.UTC(2026, 2, 14, 9, 0, 0)

const STEPS = 240
const STEP_MS = 2500

/**
 * Loss falls quickly, then slowly, with noise that falls too; the validation loss turns up a little at the end.
 *
 * `rate` is how fast it falls (1 is ordinary). Only + - * / are used: Math.exp and its like may round differently elsewhere.
 */
export function trainingSteps(seed: number, rate: number, startedMs = STARTED_MS): readonly Step[] {
  const random = new Random(seed)
  return Array.from({ length: STEPS }, (_, index) => {
    const progress = index / (STEPS - 1)
    const fall = 1 / (1 + rate * 14 * progress)
    const noise = (random.nextUnit() - 0.5) * (0.03 + 0.22 * fall)
    const trainLoss = 0.08 + 2.22 * fall + noise
    const overfit = Math.max(0, progress - 0.6)
    const validLoss = 0.17 + 2.15 * fall + overfit * overfit * 0.9 + noise / 4
    const accuracy = Math.min(0.999, 1 - 0.88 * fall - noise / 6)
    return {
      step: index + 1,
      timeMs: startedMs + (index + 1) * STEP_MS,
      trainLoss: rounded(trainLoss),
      validLoss: rounded(validLoss),
      accuracy: rounded(accuracy),
    }
  })
}

function rounded(value: number): number {
  return Math.round(value * 1e5) / 1e5
}
