// The roll of a controller that is part of a mesh: every change and heartbeat that is made here is told to the others, too.
import type { Mesh } from '../mesh/mesh.ts'
import { registeredAfter } from '../routing/registered-at.ts'
import type { RollChange } from '../routing/roll.ts'
import type { SharedRoll } from './siblings.ts'

export function overMesh(roll: SharedRoll, mesh: Pick<Mesh, 'changed' | 'beat' | 'registeredAt'>): SharedRoll {
  return {
    async share(asked) {
      const change = inOrder(asked, mesh)
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

/** A registration is later than all that the mesh knows of the worker: one that had ended counts, too. */
export function inOrder(change: RollChange, mesh: Pick<Mesh, 'registeredAt'> | undefined): RollChange {
  if (mesh === undefined || change.kind !== 'registered') return change
  const { registration, tenure } = change
  const registeredAt = registeredAfter(mesh.registeredAt(registration), Date.parse(tenure.registeredAt))
  return { ...change, tenure: { ...tenure, registeredAt } }
}
