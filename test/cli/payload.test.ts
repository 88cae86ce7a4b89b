// The payload of `crank invoke`: JSON and members that are whole files, and what is said of a wrong one.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readPayload, type PayloadOptions } from '../../src/cli/payload.ts'

let folder = ''
let [bytes, story] = ['', '']
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crank-payload-'))
  bytes = join(folder, 'a=b.bin')
  story = join(folder, 'story.txt')
  await writeFile(bytes, Buffer.from([0xff, 0x00, 0x80]))
  await writeFile(story, 'Ünder')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('is nothing where nothing is given', async () => {
  expect(await readPayload({})).toBeUndefined()
})

test('takes files as members, in base64 and as text, beside those of --data', async () => {
  const options = { data: '{"format":"x"}', file: [`raw=${bytes}`], textFile: [`content=${story}`] }
  expect(await readPayload(options)).toStrictEqual({ format: 'x', raw: '/wCA', content: 'Ünder' })
})

test('takes a member named __proto__ for a member', async () => {
  const payload = (await readPayload({ textFile: [`__proto__=${story}`] })) as object
  expect(JSON.stringify(payload)).toBe('{"__proto__":"Ünder"}')
})

const wrong: Record<string, [PayloadOptions, string]> = {
  'a file without a member': [{ file: ['report.docx'] }, '--file report.docx: must be member=path'],
  'a member without a name': [{ file: ['=report.docx'] }, '--file =report.docx: must be member=path'],
  'a file that is not there': [
    { file: ['raw=/does/not/exist'] },
    '--file raw=/does/not/exist: the file cannot be read',
  ],
  'a payload that is not an object': [{ data: '[1]', file: ['raw=x'] }, '--data must be a JSON object'],
  'data that is not JSON': [{ data: '{' }, '--data must be JSON'],
  'data from a file that is not there': [
    { data: '@/does/not/exist' },
    '--data @/does/not/exist: the file cannot be read',
  ],
}
for (const [name, [options, message]] of Object.entries(wrong)) {
  test(`refuses ${name}`, async () => {
    await expect(readPayload(options)).rejects.toThrow(message)
  })
}

test('refuses a member given twice, and text that is not UTF-8', async () => {
  await expect(readPayload({ data: '{"raw":1}', file: [`raw=${bytes}`] })).rejects.toThrow('duplicate member "raw"')
  await expect(readPayload({ textFile: [`raw=${bytes}`] })).rejects.toThrow('not text in UTF-8; use --file')
})
