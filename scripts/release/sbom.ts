// The SBOM: CycloneDX, written by npm from the lock file, of the packages that run. Its time and its serial number come from the
// release, so that two runs write the same.
import { npm } from './npm.ts'

type Sbom = { serialNumber: string; metadata: { timestamp: string; component: { name: string } } }

/** `sourceDateEpoch` in seconds. */
type SbomFacts = { readonly name: string; readonly tarballSha256: string; readonly sourceDateEpoch: number }

/** The SBOM of a folder as text. */
export async function sbomOf(folder: string, { name, tarballSha256, sourceDateEpoch }: SbomFacts): Promise<string> {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--package-lock-only', '--omit=dev']
  const sbom = JSON.parse(await npm(args, folder)) as Sbom
  sbom.serialNumber = `urn:uuid:${uuidFrom(tarballSha256)}`
  // npm takes that of the folder.
  sbom.metadata.component.name = name
  sbom.metadata.timestamp = new Date(sourceDateEpoch * 1000).toISOString()
  return `${JSON.stringify(sbom, null, 2)}\n`
}

/** RFC 9562, version 8: bits of our own choice. */
function uuidFrom(hex: string): string {
  const variant = ((parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16)
  const bits = `${hex.slice(0, 12)}8${hex.slice(13, 16)}${variant}${hex.slice(17, 32)}`
  return bits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
