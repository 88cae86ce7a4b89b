// How many processes of a controller serve (CRANK_PROCESSES).
import { availableParallelism, totalmem } from 'node:os'

const MAX_PROCESSES = 64
/** An idle one takes about 170 MB; the rest is for bodies. */
const BYTES_PER_PROCESS = 512 * 1024 * 1024

/** A number, or `auto`. @throws {Error} with a sentence */
export function parseProcesses(text: string): number {
  if (text === 'auto') return automaticProcesses()
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0
  if (count < 1 || count > MAX_PROCESSES) throw new Error(`must be a number from 1 to ${MAX_PROCESSES}, or auto`)
  return count
}

/** One per core, but no more than the memory of the container or machine is enough for. */
function automaticProcesses(): number {
  const constrained = process.constrainedMemory()
  const bytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
  return Math.max(1, Math.min(MAX_PROCESSES, availableParallelism(), Math.floor(bytes / BYTES_PER_PROCESS)))
}
