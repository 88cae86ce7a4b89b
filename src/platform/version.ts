// The version of this package, read from its package.json beside src/ or dist/. A release has the commit in there, too
// (`gitHead`, as npm names it).
import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
  gitHead?: string
}

export const VERSION = manifest.version
/** Null: this is no release. */
export const COMMIT = manifest.gitHead ?? null
