// The roll of a controller that is part of a mesh: every change and heartbeat that is made here is told to the others, too.
import type { SharedRoll } from './siblings.ts'
import type { Mesh } from '../mesh/mesh.ts'

export function overMesh(roll: SharedRoll, mesh: Pick<Mesh, 'changed' | 'beat'>): SharedRoll {
  return {
    async share(change) {
      const shared = roll.share(change)
      // The change is made; nobody may hear of the old state while the disk writes.
      const told = mesh.changed(change)
      const isChanged = await shared
      await told
      return isChanged
    },
    beat(beat) {
      roll.beat(beat)
      mesh.beat(beat)
    },
  }
}
