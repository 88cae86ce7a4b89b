// Variables that load preload.ts into a controller, and the file that steers or notes one of its faults.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lab } from './lab.ts'

const PRELOAD = join(import.meta.dirname, 'preload.ts')

export type Preloaded = {
  readonly env: NodeJS.ProcessEnv
  readonly file: string
  readonly set: (value: number) => Promise<void>
}

/** `variable`: which fault of preload.ts. `name`: of its file, in the lab's folder. */
export async function preloaded(lab: Lab, name: string, variable: string): Promise<Preloaded> {
  const file = join(lab.parties.dir, name)
  await writeFile(file, variable === 'FAULTS_SYNCED_FILE' ? '' : '0')
  return {
    env: { NODE_OPTIONS: `--import=${PRELOAD}`, [variable]: file },
    file,
    set: (value) => writeFile(file, String(value)),
  }
}
