import { describe, expect, test } from 'vitest'
import { isInlineSafe, mediaTypeOf } from '../../src/content/media-type.ts'

const BINARY = 'application/octet-stream'

/** Names, separated by spaces, below their type. */
const TYPES = {
  'text/plain; charset=utf-8': `
    train.log worker.log.1 worker.log.2026-10-15 job.out job.err step.plx setup.cfg tox.ini notes.txt LOUD.TXT
    pyproject.toml poetry.lock fix.patch train.ts kernel.cu main.rs main.c README LICENSE Makefile Dockerfile
    log stdout stderr .gitignore .env`,
  [BINARY]: `
    w.npy w.npz m.pt m.pth m.ckpt m.onnx m.safetensors graph.pb m.pkl m.joblib m.gguf m.tflite m.keras m.bin
    a.tfrecord data.mdb pickle.p model.ckpt-1000.data-00000-of-00001 x.tfevents
    events.out.tfevents.1700000000.gpu-3 events.out.tfevents.1700000000.host.example.com
    events.out.tfevents.1700000000.worker.html
    unknown.zzz data html png .html .png dot. constructor a.constructor __proto__ a.__proto__ a.toString`,
  'application/x-ndjson': 'metrics.jsonl metrics.ndjson',
  'application/x-ipynb+json': 'report.ipynb',
  'application/json': 'config.json CONFIG.JSON',
  'application/vnd.apache.parquet': 'part-0.parquet',
  'application/x-hdf5': 'weights.h5 weights.hdf5',
  'application/gzip': 'data.csv.gz outputs.tar.gz outputs.tgz',
  'application/zstd': 'outputs.tar.zst',
  'application/x-tar': 'outputs.tar',
  'application/zip': 'outputs.zip',
  'application/pdf': 'report.pdf',
  'image/png': 'loss.png é.PNG',
  'image/jpeg': 'x.jpg x.jpeg',
  'image/svg+xml': 'plot.svg',
  'video/mp4': 'rollout.mp4',
  'audio/wav': 'sample.wav',
  'text/html; charset=utf-8': 'plot.html',
  'text/javascript; charset=utf-8': 'app.js app.mjs app.cjs',
  'text/vnd.graphviz; charset=utf-8': 'model.dot model.gv',
  'text/x-python; charset=utf-8': 'train.py',
  'text/x-shellscript; charset=utf-8': 'run.sh',
  'text/yaml; charset=utf-8': 'polyaxonfile.yaml polyaxonfile.yml',
  'text/markdown; charset=utf-8': 'README.md',
  'text/csv; charset=utf-8': 'metrics.csv',
  'text/tab-separated-values; charset=utf-8': 'metadata.tsv',
}

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}

describe('the media type of a name', () => {
  const rows = Object.entries(TYPES).flatMap(([type, names]) => words(names).map(name => [name, type]))
  test.each(rows)('%s is %s', (name, type) => {
    expect(mediaTypeOf(name)).toBe(type)
  })

  test('of spaces and of nothing is one as well', () => {
    expect(mediaTypeOf('loss of run 1.png')).toBe('image/png')
    expect(mediaTypeOf('')).toBe(BINARY)
  })
})

describe('what a browser may show in place', () => {
  const shown = `
    loss.png x.jpg x.gif x.webp x.avif x.bmp favicon.ico sample.wav sample.mp3 rollout.mp4 x.webm
    train.log metrics.csv metrics.tsv metrics.jsonl config.json report.ipynb README.md train.py run.sh a.yaml`
  test.each(words(shown))('includes the type of %s', name => {
    expect(isInlineSafe(mediaTypeOf(name))).toBe(true)
  })

  const notShown = `
    page.html page.htm page.xhtml page.shtml page.mht plot.svg plot.svgz data.xml style.xsl style.xslt feed.rss
    report.pdf app.js app.mjs app.cjs style.css flash.swf app.wasm outputs.zip model.pt unknown.zzz help.hta`
  test.each(words(notShown))('leaves out the type of %s', name => {
    expect(isInlineSafe(mediaTypeOf(name))).toBe(false)
  })

  test.each([
    ['TEXT/Plain', true],
    ['text/plain ; charset=utf-8', true],
    ['Image/PNG;x=y', true],
    ['TEXT/HTML', false],
    ['text/html;x=text/plain', false],
    ['text/html, text/plain', false],
    ['text/plain, text/html', false],
    ['text/plain\n', true],
    ['image/svg+xml', false],
    ['image/*', false],
    ['image', false],
    ['', false],
  ])('compares the essence of %j: %s', (type, expected) => {
    expect(isInlineSafe(type)).toBe(expected)
  })
})
