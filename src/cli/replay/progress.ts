// The progress of a replay or of a verification on a terminal; silent if stderr is not a terminal.

const EVERY_MS = 250

type Progress = { readonly update: (bytes: number, count: number) => void; readonly end: () => void }

/** `totalBytes`: 0 if unknown, as for a pipe. `now`: a monotonic clock in ms. `what`: what is counted. */
export function createProgress(
  totalBytes: number,
  stream: NodeJS.WriteStream,
  now: () => number,
  what = 'decisions',
): Progress {
  if (!stream.isTTY) return { update: () => undefined, end: () => undefined }
  const startMs = now()
  let shownMs = startMs
  return {
    update(bytes, count) {
      if (now() - shownMs < EVERY_MS) return
      shownMs = now()
      stream.write(`\r\u001b[K${progressLine({ bytes, totalBytes, count, what, elapsedMs: shownMs - startMs })}`)
    },
    end: () => {
      stream.write('\r\u001b[K')
    },
  }
}

/** `42 %  1,200,000 decisions  61,000/s  12 s to go` */
export function progressLine(of: {
  bytes: number
  totalBytes: number
  count: number
  what: string
  elapsedMs: number
}): string {
  const rate = Math.round((of.count / Math.max(1, of.elapsedMs)) * 1000)
  const done = of.totalBytes > 0 ? Math.min(1, of.bytes / of.totalBytes) : undefined
  const leftMs = done === undefined || done === 0 ? undefined : (of.elapsedMs / done) * (1 - done)
  return [
    ...(done === undefined ? [] : [`${Math.floor(done * 100)} %`]),
    `${of.count.toLocaleString('en-US')} ${of.what}`,
    `${rate.toLocaleString('en-US')}/s`,
    ...(leftMs === undefined ? [] : [`${Math.ceil(leftMs / 1000)} s to go`]),
  ].join('  ')
}
