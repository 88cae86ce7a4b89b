// Writes grafana/dashboards from scripts/dashboards; `--check` compares and exits 1 when they differ.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { format, resolveConfig } from 'prettier'
import { DASHBOARDS } from './dashboards/all.ts'

const DIR = join(import.meta.dirname, '../grafana/dashboards')

/** The text of each dashboard file, by file name. */
export async function dashboardTexts(): Promise<Map<string, string>> {
  const options = { ...(await resolveConfig(join(DIR, 'x.json'))), parser: 'json' }
  const texts = Object.entries(DASHBOARDS).map(
    async ([name, dashboard]) => [name, await format(JSON.stringify(dashboard, null, 2), options)] as const,
  )
  return new Map(await Promise.all(texts))
}

/** One sentence for each file that differs from its source, and for each file without a source. */
export async function findStaleDashboards(dir = DIR): Promise<string[]> {
  const texts = await dashboardTexts()
  const stale: string[] = []
  for (const [name, text] of texts) {
    if ((await readFile(join(dir, name), 'utf8').catch(() => '')) !== text)
      stale.push(`${name} differs from its source`)
  }
  const found = await readdir(dir).catch(() => [])
  return [...stale, ...found.filter((name) => !texts.has(name)).map((name) => `${name} has no source`)]
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
  if (!values.check) {
    await mkdir(DIR, { recursive: true })
    for (const [name, text] of await dashboardTexts()) await writeFile(join(DIR, name), text)
    return 0
  }
  const stale = await findStaleDashboards()
  for (const line of stale) process.stderr.write(`grafana/dashboards: ${line}: run npm run build:dashboards\n`)
  return stale.length > 0 ? 1 : 0
}

if (import.meta.main) process.exitCode = await main()
