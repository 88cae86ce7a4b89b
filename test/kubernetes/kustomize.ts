// deploy/kubernetes as kustomize builds it, the real one.
import { join } from 'node:path'
import { findTool } from '../../scripts/tools/native-tools.ts'
import { run } from '../../scripts/tools/run.ts'
import { parseObjects, type KubeObject } from './objects.ts'

export const KUBERNETES_DIR = join(import.meta.dirname, '../../deploy/kubernetes')

/** The objects of a folder with a kustomization. @throws {Error} with what kustomize says */
export async function build(folder: string): Promise<KubeObject[]> {
  const { code, stdout, stderr } = await run(await findTool('kustomize'), ['build', folder])
  if (code !== 0) throw new Error(`kustomize build ${folder}: ${stderr}`)
  return parseObjects(stdout)
}
