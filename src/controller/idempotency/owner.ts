// Which process holds a key. A process id alone is used again, in a container at every start; with the time of its start and
// the boot of the machine it is not.
import { readFileSync } from 'node:fs'

/** This process, as a text that another process can test with `isAlive`. */
export function thisProcess(): string {
  return processText(process.pid) ?? String(process.pid)
}

/** Whether the process that a text of `thisProcess` names still runs. In doubt it does: its keys stay held. */
export function isAlive(text: string): boolean {
  const pid = Number.parseInt(text, 10)
  const now = processText(pid)
  if (now !== undefined) return now === text
  try {
    process.kill(pid, 0)
    return !text.includes(' ')
  } catch (cause: unknown) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM' && !text.includes(' ')
  }
}

/** Undefined where there is no /proc, or no such process. */
function processText(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // Field 22; the second field is the name, which may contain spaces and parentheses.
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return `${pid} ${started} ${boot}`
  } catch {
    return undefined
  }
}
