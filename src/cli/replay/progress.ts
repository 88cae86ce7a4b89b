// The progress of a replay or an export on a terminal; silent if stderr is not a terminal.

const EVERY_MS = 250

type Progress = { readonly update: (bytes: number, done: number) => void; readonly end: () => void }

/** `totalBytes`: 0 if unknown, as for a pipe. `now`: a monotonic clock in ms. `unit`: what is counted. */
export function createProgress(
  totalBytes: number,
  stream: NodeJS.WriteStream,
  now: () => number,
  unit = 'decisions',
): Progress {
  if (!stream.isTTY) return { update: () => undefined, end: () => undefined }
  const startMs = now()
  let shownMs = startMs
  return {
    update(bytes, done) {
      if (now() - shownMs < EVERY_MS) return
      shownMs = now()
      stream.write(`\r\u001b[K${progressLine({ bytes, totalBytes, done, unit, elapsedMs: shownMs - startMs })}`)
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
  done: number
  unit: string
  elapsedMs: number
}): string {
  const rate = Math.round((of.done / Math.max(1, of.elapsedMs)) * 1000)
  const part = of.totalBytes > 0 ? Math.min(1, of.bytes / of.totalBytes) : undefined
  const leftMs = part === undefined || part === 0 ? undefined : (of.elapsedMs / part) * (1 - part)
  return [
    ...(part === undefined ? [] : [`${Math.floor(part * 100)} %`]),
    `${of.done.toLocaleString('en-US')} ${of.unit}`,
    `${rate.toLocaleString('en-US')}/s`,
    ...(leftMs === undefined ? [] : [`${Math.ceil(leftMs / 1000)} s to go`]),
  ].join('  ')
}
