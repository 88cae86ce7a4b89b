// The table of engines. To add one, write a file that exports an EngineKind, and add a line here.
import { embedded } from './embedded.ts'
import type { EngineHost, EngineKind, EngineSettings } from './engine-kind.ts'
import { sidecar } from './sidecar.ts'

const KINDS: readonly EngineKind[] = [sidecar, embedded]

/** Opens the engine that the settings choose. @throws {Error} when no engine matches */
export function openEngine(settings: EngineSettings): EngineHost {
  const kind = KINDS.find(({ isChosenBy }) => isChosenBy(settings))
  if (kind === undefined) throw new Error('no policy engine matches the settings')
  return kind.open(settings)
}
