// The peer that most Express services are: express.static for files and archiver for folders, both with their defaults.
// Usage: node bench/peers/express-static.ts ROOT PORT
import { pipeline } from 'node:stream/promises'
import { join } from 'node:path'
import { TarArchive, ZipArchive } from 'archiver'
import express from 'express'

const [root, port] = process.argv.slice(2)
if (root === undefined || port === undefined) throw new Error('usage: express-static.ts ROOT PORT')

const app = express()

app.use('/outputs', async (request, response, next) => {
  const { archive: format } = request.query
  if (format !== 'zip' && format !== 'tar') {
    next()
    return
  }
  const archive = format === 'zip' ? new ZipArchive({ store: true }) : new TarArchive()
  archive.directory(join(root, decodeURIComponent(request.path)), false)
  response.attachment(`outputs.${format}`)
  await Promise.all([archive.finalize(), pipeline(archive, response)])
})
app.use('/outputs', express.static(root))

app.listen(Number(port), '127.0.0.1')
