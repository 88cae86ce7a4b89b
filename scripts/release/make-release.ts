// The files of a release. The tarball depends on nothing but the commit: no time, no folder, no user is in it.
import { hash } from 'node:crypto'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { npm } from './npm.ts'
import { provenanceOf, signedStatement } from './provenance.ts'
import { sbomOf } from './sbom.ts'
import { stage } from './stage.ts'

/** `sourceDateEpoch`: time of the commit, in seconds since 1970 (reproducible-builds.org). */
export type ReleaseSource = {
  readonly root: string
  readonly commit: string
  /** URL of the repository; '' when it has no remote. */
  readonly repository: string
  readonly sourceDateEpoch: number
}

type ReleaseOptions = {
  /** An existing folder. */
  readonly out: string
  /** URI of who builds. */
  readonly builder: string
  /** PEM; undefined: the provenance statement is not signed. */
  readonly signingKey?: string | undefined
}

/** Makes all files of the release and returns their paths. @throws {Error} with what a command said that failed */
export async function makeRelease(
  source: ReleaseSource,
  { out, builder, signingKey }: ReleaseOptions,
): Promise<{ readonly files: readonly string[]; readonly tarball: string }> {
  const startedOn = new Date().toISOString()
  const work = await mkdtemp(join(tmpdir(), 'crank-release-'))
  try {
    const { folder, name: product, version } = await stage(source, work)
    const packed = await npm(['pack', '--pack-destination', work, '--ignore-scripts', '--json'], folder)
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }]
    const name = `crank-${version}`
    const tarball = join(out, `${name}.tgz`)
    await writeFile(tarball, await readFile(join(work, filename)))
    const sbom = join(out, `${name}.cdx.json`)
    await writeFile(sbom, await sbomOf(folder, { name: product, tarballSha256: await sha256(tarball), ...source }))
    const subjects = await Promise.all([tarball, sbom].map(async (file) => subjectOf(file)))
    const lock = await readFile(join(source.root, 'package-lock.json'))
    const finishedOn = new Date().toISOString()
    const statement = provenanceOf({
      ...source,
      subjects,
      builder,
      startedOn,
      finishedOn,
      lockSha256: hash('sha256', lock),
    })
    const provenance = join(out, `${name}.${signingKey === undefined ? 'provenance' : 'provenance.dsse'}.json`)
    const content = signingKey === undefined ? statement : signedStatement(statement, signingKey)
    await writeFile(provenance, `${JSON.stringify(content, null, 2)}\n`)
    const sums = join(out, 'SHA256SUMS')
    const lines = await Promise.all(
      [tarball, sbom, provenance].map(async (file) => `${await sha256(file)}  ${basename(file)}\n`),
    )
    // Complete from its first moment: whoever finds it finds the others.
    await writeFile(`${sums}.new`, lines.join(''))
    await rename(`${sums}.new`, sums)
    return { files: [tarball, sbom, provenance, sums], tarball }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function subjectOf(file: string): Promise<{ name: string; digest: { sha256: string } }> {
  return { name: basename(file), digest: { sha256: await sha256(file) } }
}

async function sha256(file: string): Promise<string> {
  return hash('sha256', await readFile(file))
}
