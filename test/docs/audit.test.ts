// The page about the audit log names every event, every reason of a new segment, every fault and every setting.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SEGMENT_REASONS } from '../../src/core/segment-reason.ts'
import { auditSettings } from '../../src/platform/audit-settings.ts'
import { AUDIT_EVENTS } from '../observability/audit-events.ts'

const page = await readFile(join(import.meta.dirname, '../../docs/operations/audit.md'), 'utf8')

/** The code words in the first column of the tables below a heading. */
function firstColumn(heading: string): string[] {
  const [section = ''] = page.split(`\n## ${heading}\n`)[1]?.split('\n## ') ?? []
  return [...section.matchAll(/^\| `([a-z_]+)` /gm)].map(([, name = '']) => name)
}

test('the table of events has every event, and no other', () => {
  expect(firstColumn('What is recorded').toSorted()).toEqual(Object.keys(AUDIT_EVENTS).toSorted())
})

test.each(SEGMENT_REASONS)('it says what the reason %s of a new segment means', (reason) => {
  const [section = ''] = page.split('\n## What happens to a segment\n')[1]?.split('\n## ') ?? []
  expect(section).toMatch(new RegExp(`^\\|.*\`${reason}\`.*\\|$`, 'm'))
})

test.each(Object.keys(auditSettings))('it explains %s', (name) => {
  expect(page).toContain(`\`${name}`)
})
