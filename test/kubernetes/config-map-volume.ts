// A projected volume of ConfigMaps on disk, written and replaced as the kubelet's AtomicWriter does it
// (kubernetes/pkg/volume/util/atomic_writer.go): a folder per version, `..data` that points to it and is swapped by a rename,
// and a link through `..data` for each name at the top.
import { mkdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ofKind, type KubeObject, type Volume } from './objects.ts'

/** Content by path in the volume. */
export type Files = ReadonlyMap<string, Buffer>

/** What a pod would see of a volume, from the ConfigMaps of `objects`. Optional keys that are not there are left out. */
export function filesOf({ projected }: Volume, objects: readonly KubeObject[]): Files {
  const files = new Map<string, Buffer>()
  for (const { configMap } of projected?.sources ?? []) {
    const map = ofKind(objects, 'ConfigMap').find(({ metadata }) => metadata.name === configMap?.name)
    const content = new Map([
      ...Object.entries(map?.data ?? {}).map(([key, text]) => [key, Buffer.from(text)] as const),
      ...Object.entries(map?.binaryData ?? {}).map(([key, text]) => [key, Buffer.from(text, 'base64')] as const),
    ])
    const items = configMap?.items ?? [...content.keys()].map((key) => ({ key, path: key }))
    for (const { key, path } of items) {
      const bytes = content.get(key)
      if (bytes !== undefined) files.set(path, bytes)
      else if (configMap?.optional !== true) throw new Error(`the pod would not start: no ${key}`)
    }
  }
  return files
}

/** Writes the volume, the first time or over an earlier version. */
export async function writeVolume(dir: string, files: Files): Promise<void> {
  const old = await readlink(join(dir, '..data')).catch(() => undefined)
  const version = `..${new Date().toISOString().replaceAll(/[-:TZ]/g, '_')}${String(process.hrtime.bigint())}`
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(dir, version, path)), { recursive: true })
    await writeFile(join(dir, version, path), bytes)
  }
  await symlink(version, join(dir, '..data_tmp'))
  await rename(join(dir, '..data_tmp'), join(dir, '..data'))
  const top = new Set([...files.keys()].map((path) => path.split('/')[0] ?? ''))
  for (const name of top) {
    await symlink(join('..data', name), join(dir, name)).catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    })
  }
  if (old !== undefined) await rm(join(dir, old), { recursive: true })
}
