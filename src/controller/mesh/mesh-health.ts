// How the link to the shared store is, in the words of readiness. It never makes a controller unready: calls do not wait for it.
import type { MeshHealth } from './mesh.ts'

/** It counts as away from then on: a blink is nobody's business. */
const NOTED_MS = 2000

/** What is degraded; undefined: nothing is, or there is no mesh. */
export function meshNote(health: MeshHealth | undefined): string | undefined {
  if (health === undefined) return undefined
  const { awayMs, unwritten } = health
  if (awayMs !== undefined && awayMs >= NOTED_MS) {
    const seconds = Math.round(awayMs / 1000)
    const waiting = unwritten === 0 ? '' : `; ${unwritten} changes wait for it`
    return `degraded: the shared store has been away for ${seconds} s; workers stay as they were known${waiting}`
  }
  return awayMs === undefined && unwritten > MANY ? `${unwritten} changes wait for the shared store` : undefined
}

/** More than a start writes at once. */
const MANY = 1000

/** Whether other controllers do not hear from this one now. */
export function isMeshAway(health: MeshHealth | undefined): boolean {
  return (health?.awayMs ?? 0) >= NOTED_MS
}
