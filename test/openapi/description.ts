// The document under test, read once.
import { readFileSync } from 'node:fs'
import { parseDescription } from '../../src/http/description.ts'

export const description = parseDescription(
  readFileSync(new URL('../../openapi/openapi.yaml', import.meta.url), 'utf8'),
)
