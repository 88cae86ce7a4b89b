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

/** A write that is also a sync (O_DSYNC): later by what a file says, and noted with the length that is then on the disk. */
function watchSyncs(): void {
  const system = fs.write
  const watched = (fd: number, bytes: Buffer, offset: number, length: number, position: null, done: Done): void => {
    system(fd, bytes, offset, length, position, (error, written) => {
      if (error !== null || !isSynced(fd)) {
        done(error, written)
        return
      }
      const { size, ino } = fs.fstatSync(fd)
      const end = (): void => {
        if (SYNCED !== undefined) fs.appendFileSync(SYNCED, `${ino} ${size}\n`)
        done(null, written)
      }
      const delayMs = SYNC_DELAY === undefined ? 0 : numberIn(SYNC_DELAY)
      if (delayMs > 0) setTimeout(end, delayMs)
      else end()
    })
  }
  fs.write = watched as typeof fs.write
  syncBuiltinESMExports()
}

type Done = (error: NodeJS.ErrnoException | null, written: number) => void

/** Whether the file was opened with O_DSYNC. */
function isSynced(fd: number): boolean {
  const [, flags = '0'] = /^flags:\s+([0-7]+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? []
  return (Number.parseInt(flags, 8) & fs.constants.O_DSYNC) !== 0
}

function numberIn(file: string): number {
  return Number(fs.readFileSync(file, 'utf8'))
}
