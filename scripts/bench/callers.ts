// A mesh of many callers for the part `cached`: each has a certificate of its own, and may use the same capabilities.
import { writeFile } from 'node:fs/promises'
import { issueSvid, type Ca } from '../../src/platform/tls/dev-ca.ts'
import { devSpiffeId } from '../../src/platform/tls/dev-pki.ts'
import { HELLO } from './register.ts'

/** Certificate and key, PEM. */
export type Caller = { readonly cert: string; readonly key: string }

/** What each of the callers may use. */
export const CAPABILITIES = Array.from({ length: 15 }, (_, n) => ({ ...HELLO, name: `thing_${n}` }))

/** The names of the development PKI. */
export function callerNames(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `worker-caller-${n}`)
}

/** Writes a list of callers to `file`: one file, since a thousand pairs would take longer to write than to mint. */
export async function mintCallers(file: string, ca: Ca, names: readonly string[]): Promise<void> {
  const callers: Caller[] = []
  for (const name of names) {
    const spiffeId = devSpiffeId(ca.trustDomain, name)
    const { certPem, keyPem } = await issueSvid({ ca, spiffeId, days: 1, now: Date.now })
    callers.push({ cert: certPem, key: keyPem })
  }
  await writeFile(file, JSON.stringify(callers), { mode: 0o600 })
}
