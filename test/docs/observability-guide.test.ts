// What the guides name is there: a section for each alert, and every metric.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { exportedFamilies, exportedMetrics } from '../fixtures/exported-metrics.ts'
import { readAlerts } from '../observability/prometheus-files.ts'

const DOCS = join(import.meta.dirname, '../../docs')
const GUIDE = 'operations/observability-guide.md'

const read = (name: string): Promise<string> => readFile(join(DOCS, name), 'utf8')

test('every alert leads to a section of the guide, and every section under Alerts is of an alert', async () => {
  const guide = await read(GUIDE)
  const sections = [...guide.slice(guide.indexOf('\n## Alerts')).matchAll(/^### (.+)$/gm)].map(([, title]) => title)
  const alerts = await readAlerts()
  expect([...new Set(alerts.map(({ alert }) => alert))].sort()).toEqual(sections.sort())
  for (const { alert, annotations } of alerts) {
    expect(annotations['runbook']).toBe(`docs/${GUIDE}#${alert.toLowerCase()}`)
  }
})

test('every metric that a page names is exported', async () => {
  const pages = (await readdir(DOCS, { recursive: true })).filter((name) => name.endsWith('.md'))
  const exported = new Set([...(await exportedMetrics()), ...(await exportedFamilies()).map(({ name }) => name)])
  const named = await Promise.all(
    pages.map(async (page) =>
      [...(await read(page)).matchAll(/\b(?:controller|nodejs|process)_[a-z0-9_]+\b/g)]
        .map(([name]) => name)
        .filter((name) => !EVENTS.has(name) && !exported.has(name))
        .map((name) => `${page}: ${name}`),
    ),
  )
  expect(named.flat()).toEqual([])
  expect(exported.size).toBeGreaterThan(50)
})

/** Log events and audit records whose names begin alike. */
const EVENTS = new Set([
  'controller_ready',
  'controller_draining',
  'controller_started',
  'controller_stopped',
  'controller_avoided',
  'controller_used_again',
  'controller_mesh_away',
  'controller_mesh_back',
  'controller_crashed',
  'controller_start_failed',
  'process_ended',
  'process_hangs',
])
