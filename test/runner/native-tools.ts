// Before any test of the project `mesh`: the native tools are there, or one sentence says what to install. A missing tool
// fails, never skips.
import { findTool } from '../../scripts/tools/native-tools.ts'

export async function setup(): Promise<void> {
  await findTool('opa')
  await findTool('kustomize')
  await findTool('nats-server')
}
