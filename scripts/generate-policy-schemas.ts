// Writes policies/schemas from the schemas that the controller uses to check its data (src/policy/data/data-shapes.ts);
// `--check` compares and exits 1 when they differ. Each schema has its own folder: `opa test policies` loads every JSON
// file it finds and would merge two schemas in one folder into one document with conflicting members.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { format, resolveConfig } from 'prettier'
import { DATA_FILES, DATA_SCHEMAS, type DataFileName } from '../src/policy/data/data-shapes.ts'

const DIR = join(import.meta.dirname, '../policies/schemas')

/** The path of the schema of a data file. */
export function schemaPath(name: DataFileName, dir = DIR): string {
  const base = name.replace(/\.json$/, '')
  return join(dir, base, `${base}.schema.json`)
}

/** The text of each schema file, by its path. */
export async function policySchemas(dir = DIR): Promise<Map<string, string>> {
  const options = { ...(await resolveConfig(join(DIR, 'x.json'))), parser: 'json' }
  const texts = DATA_FILES.map(async (name) => {
    const schema = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      $comment: 'Made by scripts/generate-policy-schemas.ts from src/policy/data/data-shapes.ts. Do not edit.',
      ...DATA_SCHEMAS[name],
    }
    return [schemaPath(name, dir), await format(JSON.stringify(schema, null, 2), options)] as const
  })
  return new Map(await Promise.all(texts))
}

/** One sentence for each schema file that differs from its source. */
export async function findStaleSchemas(dir = DIR): Promise<string[]> {
  const stale: string[] = []
  for (const [path, text] of await policySchemas(dir)) {
    if ((await readFile(path, 'utf8').catch(() => '')) !== text) stale.push(`${path} differs from its source`)
  }
  return stale
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
  if (!values.check) {
    for (const [path, text] of await policySchemas()) {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, text)
    }
    return 0
  }
  const stale = await findStaleSchemas()
  for (const line of stale) process.stderr.write(`${line}: run node scripts/generate-policy-schemas.ts\n`)
  return stale.length > 0 ? 1 : 0
}

if (import.meta.main) process.exitCode = await main()
