// The sidecar engine, which reads the policy files itself. Our copy comes into force only when the sidecar has loaded the
// same, so that audit records, modes and labels are never ahead of what decides.
import { PolicyRefusedError, type EngineHost, type EngineKind, type EngineSettings } from './engine-kind.ts'
import { createOpaHttp } from './opa-http.ts'
import { createOpaReader } from './opa-loaded.ts'

/** Used by every controller with OPA_URL. */
export const sidecar: EngineKind = { isChosenBy: ({ opa }) => opa !== undefined, open }

/** Valid policy files that the sidecar has not loaded, or not yet. */
export class OpaBehindError extends PolicyRefusedError {
  /** The data differs; a difference in Rego alone may be only a comment. */
  readonly isDataOther: boolean

  constructor({ difference, isDataOurs }: { difference: string | undefined; isDataOurs: boolean }) {
    super(`OPA has not loaded it: it has different ${difference ?? 'files'}`)
    this.isDataOther = !isDataOurs
  }
}

function open({ opa: target, timeoutMs }: EngineSettings): EngineHost {
  if (target === undefined) throw new Error('a sidecar needs OPA_URL')
  const engine = createOpaHttp({ target, timeoutMs })
  const reader = createOpaReader(target)
  return {
    name: engine.name,
    isRemote: true,
    begin: (files) => Promise.resolve({ engine, files, revision: files.revision }),
    async prepare(files, current) {
      const loaded = await reader.loaded(files)
      // With bundles OPA decides by their revision: the folder is then used only for the controller's own knowledge.
      if (loaded.kind === 'bundle') return { engine, files, revision: undefined }
      if (loaded.kind === 'files' && !loaded.isOurs) throw new OpaBehindError(loaded)
      const isNamedByFiles = loaded.kind === 'files' || current.revision === current.files.revision
      return { engine, files, revision: isNamedByFiles ? files.revision : undefined }
    },
    loaded: reader.loaded,
    traffic: engine.traffic,
    retire: () => Promise.resolve(),
    close: async () => {
      await Promise.all([reader.close(), engine.close()])
    },
  }
}
