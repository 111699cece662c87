import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { filesWith } from './secret.fixture.ts'

/** Like a platform that is at work: all but what was read first goes before the rest is looked at. */
class Removing extends RegExp {
  readonly directory: string
  constructor(pattern: string, directory: string) {
    super(pattern)
    this.directory = directory
  }
  override test(text: string): boolean {
    rmSync(this.directory, { recursive: true, force: true })
    return super.test(text)
  }
}

test('filesWith() passes over files and folders that go while it looks, but needs the directory itself', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-files-with-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const lay = () => {
    for (const name of ['a', 'b']) {
      mkdirSync(join(directory, name, 'below'), { recursive: true })
      for (const path of [name, `${name}/below`]) writeFileSync(join(directory, path, 'file'), 'a secret')
    }
  }
  lay()
  expect((await filesWith(/secret/, directory)).sort()).toEqual(
    ['a/below/file', 'a/file', 'b/below/file', 'b/file'].map((path) => join(directory, path)),
  )
  expect(await filesWith(new Removing('secret', directory), directory)).toHaveLength(1)
  await expect(filesWith('secret', directory)).rejects.toMatchObject({ code: 'ENOENT' })
})
