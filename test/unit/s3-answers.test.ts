// Answers of S3 servers as they come, and what is taken from them.
import { describe, expect, it } from 'vitest'
import type {
  GetObjectCommandOutput,
  HeadObjectCommandOutput,
  ListObjectsCommandOutput,
  ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3'
import { checkAnswer, headOf, pageOf } from '../../src/store/s3-answers.ts'

const $metadata = { httpStatusCode: 200 }
const DATE = new Date('2026-11-01T10:20:30.987Z')
const OBJECT = { Key: 'k', Size: 3, ETag: '"e"', LastModified: DATE }

describe('a list', () => {
  const page = (answer: Partial<ListObjectsV2CommandOutput>) =>
    pageOf({ $metadata, IsTruncated: false, ...answer })

  it.each([
    ['a+b', 'a b'],
    ['a%20b', 'a b'],
    ['a%2Bb', 'a+b'],
    ['100%25', '100%'],
    ['%E6%97%A5/x', '日/x'],
    ['new%0Aline%0D', 'new\nline\r'],
    ['bad%zz', 'bad%zz'],
  ])('has the key %j as %j where names are encoded', (Key, key) => {
    const answer = {
      EncodingType: 'url' as const,
      Contents: [{ ...OBJECT, Key }],
      CommonPrefixes: [{ Prefix: Key }],
    }
    expect(page(answer)).toMatchObject({ objects: [{ key }], prefixes: [key] })
  })

  it('has names as they are where the server does not encode them', () => {
    expect(page({ Contents: [{ ...OBJECT, Key: 'a+b%20c' }] }).objects[0]!.key).toBe('a+b%20c')
  })

  it('has whole seconds and etags without quotes', () => {
    expect(page({ Contents: [OBJECT] }).objects).toEqual([
      { key: 'k', size: 3, etag: 'e', lastModifiedMs: Date.parse('2026-11-01T10:20:30Z') },
    ])
    expect(page({ Contents: [{ ...OBJECT, ETag: 'bare' }] }).objects[0]!.etag).toBe('bare')
  })

  it.each([undefined, '', '""', 'W/"e"', '"a"b"', '"sp ace"'])(
    'is refused where the etag of an object is %j',
    ETag => {
      const Contents = [{ ...OBJECT, ...(ETag === undefined ? { ETag: undefined! } : { ETag }) }]
      expect(() => page({ Contents })).toThrow(expect.objectContaining({ reason: 'misconfigured' }))
      // Nobody reads a folder's marker.
      expect(page({ Contents: [{ ...Contents[0], Key: 'folder/' }] }).objects[0]!.key).toBe('folder/')
    },
  )

  it('is refused where it is none, or has no more than half of an object', () => {
    const interrupted = expect.objectContaining({ reason: 'interrupted' }) as Error
    expect(() => pageOf({ $metadata })).toThrow(interrupted)
    expect(() => page({ Contents: [{ Key: 'k' }] })).toThrow(interrupted)
  })

  it('goes on by the token that the server gives, as it is', () => {
    expect(page({ IsTruncated: true, NextContinuationToken: 'a+%20b', EncodingType: 'url' }).token).toBe(
      'a+%20b',
    )
    expect(page({ IsTruncated: false, NextContinuationToken: 'a' }).token).toBeUndefined()
  })

  it.each([
    [{ NextMarker: 'x%2B' }, 'x+'],
    [{ Contents: [{ ...OBJECT, Key: 'last%20key' }] }, 'last key'],
  ])('of the first version goes on by its marker, or by its last key: %o', (more, token) => {
    const answer: ListObjectsCommandOutput = { $metadata, IsTruncated: true, EncodingType: 'url', ...more }
    expect(pageOf(answer).token).toBe(token)
  })

  it('that says there is more, but not where, is refused', () => {
    const misconfigured = expect.objectContaining({ reason: 'misconfigured' }) as Error
    expect(() => page({ IsTruncated: true, KeyCount: 1, Contents: [OBJECT] })).toThrow(misconfigured)
    expect(() => page({ IsTruncated: true })).toThrow(misconfigured)
  })
})

describe('a head', () => {
  const head = (answer: Partial<HeadObjectCommandOutput>) =>
    headOf('k', { $metadata, ContentLength: 3, ETag: '"e"', LastModified: DATE, ...answer })

  it.each([
    [undefined, undefined],
    ['', undefined],
    ['aws-chunked', undefined],
    ['aws-chunked,gzip', 'gzip'],
    ['gzip, aws-chunked', 'gzip'],
    ['identity', undefined],
    ['gzip,br', 'gzip, br'],
  ])('with the content encoding %j is of the coding %j', (ContentEncoding, expected) => {
    expect(head(ContentEncoding === undefined ? {} : { ContentEncoding }).contentEncoding).toBe(expected)
  })

  it.each([
    [{ ChecksumCRC32: 'gAAAAQ==', ChecksumType: 'FULL_OBJECT' }, 0x80000001],
    [{ ChecksumCRC32: 'AAAAAA==', ChecksumType: 'FULL_OBJECT' }, 0],
    [{ ChecksumCRC32: 'gAAAAQ==-2', ChecksumType: 'COMPOSITE' }, undefined],
    [{ ChecksumCRC32: 'gAAAAQ==' }, undefined],
    [{ ChecksumCRC32: 'gAAA', ChecksumType: 'FULL_OBJECT' }, undefined],
    [{ ChecksumType: 'FULL_OBJECT', ChecksumCRC64NVME: 'AAAAAAAAAAA=' }, undefined],
  ] as const)('with %o has the CRC-32 %s', (checksum, expected) => {
    expect(head(checksum).crc32).toBe(expected)
  })

  it('without a size or time is refused', () => {
    for (const missing of ['ContentLength', 'LastModified'] as const)
      expect(() => head({ [missing]: undefined })).toThrow(expect.objectContaining({ reason: 'interrupted' }))
  })
})

describe('a part', () => {
  const REQUEST = { start: 10, end: 20, pin: 'e' }
  const part = (answer: Partial<GetObjectCommandOutput>, request = REQUEST) =>
    checkAnswer(request, { $metadata: { httpStatusCode: 206 }, ETag: '"e"', ...answer })

  it.each([
    [{ ContentLength: 10, ContentRange: 'bytes 10-19/100' }],
    [{ ContentLength: 10, ContentRange: 'bytes 10-19/*' }],
    [{ ContentRange: 'bytes 10-19/100' }],
  ])('is taken when it is the bytes that were asked for: %o', answer => {
    expect(() => part(answer)).not.toThrow()
  })

  it('is taken as the whole where the whole was asked for', () => {
    const whole = { $metadata: { httpStatusCode: 200 }, ContentLength: 20 }
    expect(() => part(whole, { start: 0, end: 20, pin: 'e' })).not.toThrow()
  })

  it.each([
    [{ ContentLength: 10, ContentRange: 'bytes 11-20/100' }, 'interrupted'],
    [{ ContentLength: 9, ContentRange: 'bytes 10-18/100' }, 'interrupted'],
    [{ ContentLength: 11, ContentRange: 'bytes 10-19/100' }, 'interrupted'],
    [{ ContentLength: 10 }, 'interrupted'],
    [{ $metadata: { httpStatusCode: 200 }, ContentLength: 100 }, 'misconfigured'],
    [{ $metadata: { httpStatusCode: 200 }, ContentLength: 10 }, 'misconfigured'],
    [{ ETag: '"f"', ContentLength: 10, ContentRange: 'bytes 10-19/100' }, 'changed'],
  ])('is refused otherwise: %o is %s', (answer, reason) => {
    expect(() => part(answer)).toThrow(expect.objectContaining({ reason }))
  })
})
