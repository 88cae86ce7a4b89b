// The sidecar: it reads the files by itself. Ours count as in force when it has the same, so that audit records, mode map
// and labels never run ahead of what decides.
import { PolicyRefusedError, type EngineHost, type EngineKind, type EngineSettings } from './engine-kind.ts'
import { createOpaHttp } from './opa-http.ts'
import { createOpaReader } from './opa-loaded.ts'

/** For every controller with OPA_URL. */
export const sidecar: EngineKind = { isChosenBy: ({ opa }) => opa !== undefined, open }

/** A sound set that a sidecar has not taken over, or not yet. */
export class OpaBehindError extends PolicyRefusedError {
  /** Its data is another; of Rego alone it may be a comment. */
  readonly isDataOther: boolean

  constructor({ difference, isDataOurs }: { difference: string | undefined; isDataOurs: boolean }) {
    super(`OPA has not taken it over: it has other ${difference ?? 'files'}`)
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
      // A bundle's revision is not ours to change: the folder only serves the controller's own knowledge then.
      if (loaded.kind === 'bundle') return { engine, files, revision: undefined }
      if (loaded.kind === 'files' && !loaded.isOurs) throw new OpaBehindError(loaded)
      const isNamedByFiles = loaded.kind === 'files' || current.revision === current.files.revision
      return { engine, files, revision: isNamedByFiles ? files.revision : undefined }
    },
    loaded: reader.loaded,
    retire: () => Promise.resolve(),
    close: async () => {
      await Promise.all([reader.close(), engine.close()])
    },
  }
}
