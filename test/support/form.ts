// Forms with files as they go over the wire (RFC 7578), byte by byte, so that every way of being wrong can be sent too.

export const BOUNDARY = '----form-boundary-7MA4YWxk'
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`

/** A part with these lines for its head. */
export function part(head: readonly string[], content: string | Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from([`--${BOUNDARY}`, ...head, '', ''].join('\r\n')),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ])
}

export function filePart(filename: string, content: string | Uint8Array, field = 'file'): Buffer {
  const disposition = `Content-Disposition: form-data; name="${field}"; filename="${filename}"`
  return part([disposition, 'Content-Type: application/octet-stream'], content)
}

export function fieldPart(name: string, value: string): Buffer {
  return part([`Content-Disposition: form-data; name="${name}"`], value)
}

export const END = Buffer.from(`--${BOUNDARY}--\r\n`)

/** A whole form. */
export function form(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([...parts, END])
}

/** Forms that are none, each with the status that it deserves. */
export const MALFORMED: readonly {
  readonly what: string
  readonly type?: string
  readonly body: Buffer
  readonly status: number
}[] = [
  { what: 'nothing at all', body: Buffer.alloc(0), status: 400 },
  { what: 'text', body: Buffer.from('hello'), status: 400 },
  { what: 'a type without a boundary', type: 'multipart/form-data', body: form(), status: 400 },
  { what: 'an empty boundary', type: 'multipart/form-data; boundary=', body: form(), status: 400 },
  {
    what: 'another boundary than its own',
    type: 'multipart/form-data; boundary=other',
    body: form(filePart('a', 'a')),
    status: 400,
  },
  { what: 'parameters that are none', type: 'multipart/form-data; "', body: form(), status: 400 },
  { what: 'no part', body: form(), status: 400 },
  { what: 'a part that is cut', body: filePart('cut', 'content').subarray(0, -5), status: 400 },
  { what: 'a head that is cut', body: filePart('cut', 'content').subarray(0, 60), status: 400 },
  { what: 'a file without the end boundary', body: filePart('cut', 'content'), status: 400 },
  {
    what: 'a boundary that is cut',
    body: Buffer.concat([filePart('whole', 'content'), END.subarray(0, -4)]),
    status: 400,
  },
  {
    what: 'a head and then the end boundary',
    body: Buffer.from(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n--${BOUNDARY}--\r\n`,
    ),
    status: 400,
  },
  {
    what: 'a head of an empty line, and then the end boundary',
    body: Buffer.from(`--${BOUNDARY}\r\n\r\n--${BOUNDARY}--\r\n`),
    status: 400,
  },
  {
    what: 'an empty field name',
    body: form(filePart('x', 'x', '')),
    status: 400,
  },
  { what: 'a field without a name', body: form(part(['Content-Disposition: form-data'], 'x')), status: 400 },
  { what: 'an empty name of a field', body: form(fieldPart('', 'x'), filePart('x', 'x')), status: 400 },
  {
    what: 'a field name that is deep',
    body: form(fieldPart(`a${'[b]'.repeat(50)}`, 'x'), filePart('x', 'x')),
    status: 400,
  },
  {
    what: 'a field name that is very deep',
    body: form(fieldPart(`a${'[b]'.repeat(5_000)}`, 'x'), filePart('x', 'x')),
    status: 400,
  },
  { what: 'a field with a place far out', body: form(fieldPart('a[4294967294]', 'x')), status: 400 },
  {
    what: 'field names that quarrel',
    body: form(fieldPart('a', 'x'), fieldPart('a[b]', 'x'), fieldPart('a[0][c]', 'x'), fieldPart('a[]', 'x')),
    status: 400,
  },
  {
    what: 'names of what every object has',
    body: form(
      ...[
        '__proto__',
        '__proto__[x]',
        'constructor[prototype][x]',
        'a[__proto__][x]',
        'hasOwnProperty',
        'toString',
      ].map(name => fieldPart(name, 'x')),
    ),
    status: 400,
  },
  { what: 'the name of a field that is long', body: form(filePart('x', 'x', 'n'.repeat(300))), status: 400 },
  {
    what: 'a field that is long',
    body: form(fieldPart('a', 'x'.repeat(100_000)), filePart('x', 'x')),
    status: 413,
  },
  {
    what: '10,000 fields',
    body: form(...Array.from({ length: 10_000 }, (_, i) => fieldPart(`f${i}`, 'x')), filePart('x', 'x')),
    status: 413,
  },
  {
    // None of which is stored, so that it takes no time.
    what: '1,001 files',
    body: form(...Array.from({ length: 1_001 }, () => filePart('../x', ''))),
    status: 413,
  },
  {
    what: 'a huge head',
    body: form(part([`Content-Disposition: form-data; name="file"; filename="${'x'.repeat(100_000)}"`], 'x')),
    status: 400,
  },
  {
    what: 'a head of very many lines',
    body: form(
      part(
        Array.from({ length: 5_000 }, (_, i) => `X-${i}: y`),
        'x',
      ),
    ),
    status: 400,
  },
  { what: 'a head that is none', body: form(part(['no colon here'], 'x')), status: 400 },
  { what: 'a head with NUL', body: form(filePart('a\0b', 'x')), status: 400 },
  {
    what: 'no disposition',
    body: form(part(['Content-Type: text/plain'], 'x')),
    status: 400,
  },
  {
    what: 'a disposition of another kind',
    body: form(part(['Content-Disposition: attachment; filename="x"'], 'x')),
    status: 400,
  },
  {
    what: 'a disposition whose quotes do not end',
    body: form(part(['Content-Disposition: form-data; name="file; filename=x'], 'x')),
    status: 400,
  },
  {
    what: 'a file without a file name',
    body: form(
      part(['Content-Disposition: form-data; name="file"', 'Content-Type: application/octet-stream'], 'x'),
    ),
    status: 400,
  },
  { what: 'a file that was not chosen', body: form(filePart('', '')), status: 400 },
  {
    what: 'lines that end without CR',
    body: Buffer.from(form(filePart('x', 'x')).toString().replaceAll('\r', '')),
    status: 400,
  },
]
