// `crank version`: what this program is, and which formats it writes. A newer one reads these formats and those before.
import { FORMATS } from '../core/formats.ts'
import { COMMIT, VERSION } from '../platform/version.ts'
import { writeJson, writeTable, type Format } from './output.ts'

/** Writes it to stdout. */
export function printVersion(output: Format): void {
  const about = { version: VERSION, commit: COMMIT, node: process.versions.node }
  if (output === 'json') {
    writeJson({ ...about, formats: FORMATS })
    return
  }
  const rows = [
    ['version', about.version],
    ['commit', about.commit ?? 'none: this is no release'],
    ['node', about.node],
    ...Object.entries(FORMATS).map(([name, format]) => [`format ${name}`, String(format)]),
  ]
  writeTable(
    [
      { title: 'WHAT', cell: ([what = '']) => what },
      { title: 'VALUE', cell: ([, value = '']) => value },
    ],
    rows,
  )
}
