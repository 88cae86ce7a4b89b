// Follows the folder of SLOs, and reads changed files once they have been left alone for one check: incomplete
// files look the same as faulty ones. A change with a fault has no effect, and is reported once.
import { watchFiles } from '../../platform/file-lookout.ts'
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

type SloWatch = {
  /** Why the files on disk are not in force; undefined while they are. */
  readonly fault: () => string | undefined
  readonly close: () => void
}

export function watchSloFolder({ place, seen, onChange, onFault, onFixed }: SloWatchOptions): SloWatch {
  const reported = createReportedFault()
  // Undefined: whatever is there has to be read.
  let tried: string | undefined = seen
  let last = seen
  let closed = false

  const read = async (): Promise<boolean> => {
    // A folder that was there and is gone is a fault, also where it may be absent.
    const expected = tried === '' ? place : { ...place, mayBeAbsent: false }
    const signature = await signatureOfSlos(expected).catch((cause: unknown) => {
      // It may come back as it was, and then has to end the fault.
      tried = undefined
      throw cause
    })
    const isSettled = signature === last
    last = signature
    if (!isSettled || signature === tried) return isSettled
    tried = signature
    const slos = await loadSloFolder(expected)
    // Written to while it was read: the next checks see it again.
    if ((await signatureOfSlos(expected)) !== signature) {
      tried = undefined
      return false
    }
    if (closed) return true
    onChange(slos)
    if (reported.end()) onFixed()
    return true
  }
  const failed = (cause: unknown): void => {
    const message = cause instanceof Error ? cause.message : String(cause)
    if (!closed && reported.isNews(message)) onFault(message)
  }

  const look = (): Promise<boolean> =>
    read().catch((cause: unknown) => {
      failed(cause)
      // The same files give the same fault.
      return true
    })
  const lookout = watchFiles({ paths: [place.dir], look })
  return {
    fault: reported.current,
    close() {
      closed = true
      lookout.close()
    },
  }
}
