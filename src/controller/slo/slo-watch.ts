// Checks the folder of SLOs twice a second, and reads changed files once they have been left alone for one check: incomplete
// files look the same as faulty ones. A change with a fault has no effect, and is reported once.
import { createReportedFault } from '../../platform/reported-fault.ts'
import { loadSloFolder, signatureOfSlos, type SloPlace } from '../../slo/slo-folder.ts'
import type { Slo } from '../../slo/slo.ts'

type SloWatchOptions = {
  readonly place: SloPlace
  /** The signature of the files that are loaded already. */
  readonly seen: string
  readonly onChange: (slos: readonly Slo[]) => void
  /** The files on disk are not in force; the last good ones stay. Once for each different fault. */
  readonly onFault: (message: string) => void
  /** After a fault: the files on disk are in force again. */
  readonly onFixed: () => void
}

export type SloWatch = {
  /** Why the files on disk are not in force; undefined while they are. */
  readonly fault: () => string | undefined
  readonly close: () => void
}

const POLL_MS = 500

export function watchSloFolder({ place, seen, onChange, onFault, onFixed }: SloWatchOptions): SloWatch {
  const reported = createReportedFault()
  let tried = seen
  let last = seen
  let closed = false

  const look = async (): Promise<void> => {
    const signature = await signatureOfSlos(place)
    const isSettled = signature === last
    last = signature
    if (!isSettled || signature === tried) return
    tried = signature
    const slos = await loadSloFolder(place)
    // Written to while it was read: the next checks see it again.
    if ((await signatureOfSlos(place)) !== signature) {
      tried = ''
      return
    }
    if (closed) return
    onChange(slos)
    if (reported.end()) onFixed()
  }
  const failed = (cause: unknown): void => {
    const message = cause instanceof Error ? cause.message : String(cause)
    // A folder that cannot be listed has no signature; any later one is a change.
    if (!closed && reported.isNews(message)) onFault(message)
  }

  let timer = setTimeout(tick, POLL_MS).unref()
  function tick(): void {
    void look()
      .catch(failed)
      .finally(() => {
        if (!closed) timer = setTimeout(tick, POLL_MS).unref()
      })
  }
  return {
    fault: reported.current,
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
