// The plot of a training: two loss curves over the steps, with axes, grid and legend.
import { glyphRows, GLYPH_HEIGHT, GLYPH_WIDTH } from './glyphs.ts'
import { encodePng, type Colour } from './png.ts'
import type { Step } from './training.ts'

const WIDTH = 720
const HEIGHT = 440
const LEFT = 56
const RIGHT = WIDTH - 32
const TOP = 44
const BOTTOM = HEIGHT - 48

const PALETTE: readonly Colour[] = [
  [255, 255, 255],
  [228, 231, 236],
  [71, 84, 103],
  [37, 99, 235],
  [220, 104, 3],
]
const GRID = 1
const INK = 2
const TRAIN = 3
const VALID = 4

const LOSS_MAX = 2.5
const LOSS_TICK = 0.5
const STEP_TICK = 40

export function lossPlot(title: string, steps: readonly Step[]): Buffer {
  const canvas = new Canvas()
  const last = steps.at(-1)!.step
  const x = (step: number) => Math.round(LEFT + ((RIGHT - LEFT) * step) / last)
  const y = (loss: number) => Math.round(BOTTOM - ((BOTTOM - TOP) * Math.min(loss, LOSS_MAX)) / LOSS_MAX)

  for (let loss = 0; loss <= LOSS_MAX; loss += LOSS_TICK) {
    canvas.fill(LEFT, y(loss), RIGHT - LEFT, 1, GRID)
    canvas.text(loss.toFixed(1), LEFT - 46, y(loss) - GLYPH_HEIGHT, INK)
  }
  for (let step = 0; step <= last; step += STEP_TICK) {
    canvas.fill(x(step), TOP, 1, BOTTOM - TOP, GRID)
    canvas.text(String(step), x(step) - String(step).length * 6, BOTTOM + 8, INK)
  }
  canvas.fill(LEFT, BOTTOM, RIGHT - LEFT, 2, INK)
  canvas.fill(LEFT, TOP, 2, BOTTOM - TOP, INK)
  canvas.text(title, LEFT, 14, INK)
  canvas.text('step', (LEFT + RIGHT) / 2 - 24, HEIGHT - 20, INK)

  const points = (value: (step: Step) => number) => steps.map(step => [x(step.step), y(value(step))] as const)
  canvas.curve(
    points(step => step.trainLoss),
    TRAIN,
  )
  canvas.curve(
    points(step => step.validLoss),
    VALID,
  )
  for (const [name, colour, row] of [
    ['train', TRAIN, 0],
    ['valid', VALID, 1],
  ] as const) {
    canvas.fill(RIGHT - 130, TOP + 16 + row * 24, 36, 3, colour)
    canvas.text(name, RIGHT - 86, TOP + 10 + row * 24, INK)
  }
  return encodePng(WIDTH, PALETTE, canvas.pixels)
}

/** Palette indices to draw on; what lies outside is left out. */
class Canvas {
  readonly pixels = new Uint8Array(WIDTH * HEIGHT)

  fill(left: number, top: number, width: number, height: number, colour: number): void {
    for (let y = Math.max(0, top); y < Math.min(HEIGHT, top + height); y++)
      this.pixels.fill(colour, y * WIDTH + Math.max(0, left), y * WIDTH + Math.min(WIDTH, left + width))
  }

  /** Lines between neighbouring points, three pixels thick. */
  curve(points: readonly (readonly [x: number, y: number])[], colour: number): void {
    for (const [index, [x1, y1]] of points.entries()) {
      const [x0, y0] = points[Math.max(0, index - 1)]!
      const length = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1)
      for (let i = 0; i <= length; i++)
        this.fill(
          Math.round(x0 + ((x1 - x0) * i) / length) - 1,
          Math.round(y0 + ((y1 - y0) * i) / length) - 1,
          3,
          3,
          colour,
        )
    }
  }

  /** Text at twice the size of its glyphs. */
  text(text: string, left: number, top: number, colour: number): void {
    for (const [index, character] of Array.from(text).entries())
      for (const [row, bits] of glyphRows(character).entries())
        for (let column = 0; column < GLYPH_WIDTH; column++)
          if ((bits >> (GLYPH_WIDTH - 1 - column)) & 1)
            this.fill(left + (index * (GLYPH_WIDTH + 1) + column) * 2, top + row * 2, 2, 2, colour)
  }
}
