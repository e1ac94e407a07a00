// What a query says, in the terms of the content layer.
import { describe, expect, it } from 'vitest'
import { selectionOf } from '../../src/http/query.ts'

describe('a selection', () => {
  it('takes a path that ends in a slash for that of a folder, and the slash alone for all', () => {
    expect(selectionOf({ paths: ['a', 'b/', 'b/c', '/'] })).toEqual({
      paths: ['a', 'b/c'],
      folders: ['b', ''],
    })
  })

  it.each(['a//', '//', '/a', '../'])('refuses %j', path => {
    expect(() => selectionOf({ paths: [path] })).toThrow(expect.objectContaining({ kind: 'InvalidPath' }))
  })
})
