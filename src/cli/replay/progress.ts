// The progress of a replay on a terminal; silent if stderr is not a terminal.

const EVERY_MS = 250

type Progress = { readonly update: (bytes: number, decisions: number) => void; readonly end: () => void }

/** `totalBytes`: 0 if unknown, as for a pipe. `now`: a monotonic clock in ms. */
export function createProgress(totalBytes: number, stream: NodeJS.WriteStream, now: () => number): Progress {
  if (!stream.isTTY) return { update: () => undefined, end: () => undefined }
  const startMs = now()
  let shownMs = startMs
  return {
    update(bytes, decisions) {
      if (now() - shownMs < EVERY_MS) return
      shownMs = now()
      stream.write(`\r\u001b[K${progressLine({ bytes, totalBytes, decisions, elapsedMs: shownMs - startMs })}`)
    },
    end: () => {
      stream.write('\r\u001b[K')
    },
  }
}

/** `42 %  1,200,000 decisions  61,000/s  12 s to go` */
export function progressLine(of: { bytes: number; totalBytes: number; decisions: number; elapsedMs: number }): string {
  const rate = Math.round((of.decisions / Math.max(1, of.elapsedMs)) * 1000)
  const done = of.totalBytes > 0 ? Math.min(1, of.bytes / of.totalBytes) : undefined
  const leftMs = done === undefined || done === 0 ? undefined : (of.elapsedMs / done) * (1 - done)
  return [
    ...(done === undefined ? [] : [`${Math.floor(done * 100)} %`]),
    `${of.decisions.toLocaleString('en-US')} decisions`,
    `${rate.toLocaleString('en-US')}/s`,
    ...(leftMs === undefined ? [] : [`${Math.ceil(leftMs / 1000)} s to go`]),
  ].join('  ')
}
