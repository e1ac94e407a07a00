// Paths that lead out of a run, in every spelling and at every place where a request can have one.
import { describe, expect, it } from 'vitest'
import { CHANGING, READING, type Place } from './places.ts'
import { SPELLINGS, waysOut, type Spelling } from './spellings.ts'
import { strike, strikeAll, type Attack } from './strike.ts'
import { describeVictims, INSIDE, UUID } from './victim.ts'

/** One of the ways out by each spelling, so that every place and every spelling has all of them, if not together. */
function attacksOn(place: Place, spellings: readonly Spelling[]): Attack[] {
  const ways = place.from === 'run' ? waysOut(4, '10') : waysOut(1, `${UUID}0`)
  return spellings.map(([title, spell]) =>
    place.ask(spell(ways[(title.length + place.title.length) % ways.length]!)),
  )
}

describeVictims(victim => {
  describe.each(READING)('$title', place => {
    it('reads what is in the run', async () => {
      const { status, text } = await strike(victim(), place.ask(place.fair))
      expect(status).toBe(200)
      expect(text).toContain(place.finds ?? INSIDE)
    })

    it.each(SPELLINGS)('reads nothing outside of it by %s', async (_title, spellings) => {
      await strikeAll(victim(), attacksOn(place, spellings))
    })
  })

  describe.each(CHANGING)('$title', place => {
    it('changes what is in the run', async () => {
      const { status } = await strike(victim(), place.ask(place.fair))
      expect([200, 201, 204]).toContain(status)
      expect(await victim().isChanged()).toBe(true)
      await victim().restore()
      expect(await victim().isChanged()).toBe(false)
    })

    it.each(SPELLINGS)('changes nothing outside of it by %s', async (_title, spellings) => {
      try {
        await strikeAll(victim(), attacksOn(place, spellings))
      } finally {
        await victim().restore()
      }
    })
  })
})
