import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { FORMATS } from '../../src/core/formats.ts'
import { VERSION } from '../../src/platform/version.ts'
import { crank } from './in-process.ts'

test('prints the version, the commit of a release, Node and every format as JSON', async () => {
  const { code, stdout } = await crank(['version', '-o', 'json'])
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toEqual({ version: VERSION, commit: null, node: process.versions.node, formats: FORMATS })
})

test('prints the same as a table, and says that a checkout is no release', async () => {
  const { code, stdout } = await crank(['version'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^commit +none: this is no release$/m)
  for (const [name, format] of Object.entries(FORMATS))
    expect(stdout).toMatch(new RegExp(`^format ${name} +${format}$`, 'm'))
})

test('every format has its row in the rule for upgrades', async () => {
  const rule = await readFile('docs/operations/upgrade.md', 'utf8')
  for (const name of Object.keys(FORMATS)) expect(rule).toContain(`| \`${name}\``)
})
