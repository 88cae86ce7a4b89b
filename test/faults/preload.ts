// Loaded into a controller before its own code (NODE_OPTIONS=--import): a wall clock that a test sets, a disk that syncs slowly,
// and a note of how much of which file is on the disk. Each is off unless its variable is given.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const CLOCK = process.env['FAULTS_CLOCK_FILE']
const SYNC_DELAY = process.env['FAULTS_SYNC_DELAY_FILE']
const SYNCED = process.env['FAULTS_SYNCED_FILE']

if (CLOCK !== undefined) setClock(CLOCK)
if (SYNC_DELAY !== undefined || SYNCED !== undefined) watchSyncs()

/** The wall clock is as many milliseconds ahead as the file says; it is read again when it is changed. */
function setClock(file: string): void {
  const systemNow = Date.now.bind(Date)
  let aheadMs = numberIn(file)
  fs.watch(file, () => (aheadMs = numberIn(file)))
  const now = (): number => systemNow() + aheadMs
  globalThis.Date = new Proxy(Date, {
    construct: (target, given: [number] | []) => (given.length === 0 ? new target(now()) : new target(...given)),
    get: (target, name, receiver) => (name === 'now' ? now : (Reflect.get(target, name, receiver) as unknown)),
  })
}

/** fdatasync of a file: later by what a file says, and noted with the length that was on the disk before it. */
function watchSyncs(): void {
  const system = fs.fdatasync
  const slow = (fd: number, done: (error: NodeJS.ErrnoException | null) => void): void => {
    const { size, ino } = fs.fstatSync(fd)
    const sync = (): void =>
      system(fd, (error) => {
        if (error === null && SYNCED !== undefined) fs.appendFileSync(SYNCED, `${ino} ${size}\n`)
        done(error)
      })
    const delayMs = SYNC_DELAY === undefined ? 0 : numberIn(SYNC_DELAY)
    if (delayMs > 0) setTimeout(sync, delayMs)
    else sync()
  }
  fs.fdatasync = slow as typeof fs.fdatasync
  syncBuiltinESMExports()
}

function numberIn(file: string): number {
  return Number(fs.readFileSync(file, 'utf8'))
}
