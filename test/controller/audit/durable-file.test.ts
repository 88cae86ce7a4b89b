import * as fs from 'node:fs'
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { AuditFileError } from '../../../src/controller/audit/audit-file-error.ts'
import {
  openDurableFile,
  type DurableFile,
  type FileCalls,
  type Sync,
} from '../../../src/controller/audit/durable-file.ts'
import { temporaryLog } from './support.ts'

const write = promisify(fs.write)
const REAL: FileCalls = {
  write: async (fd, bytes, offset, length) => (await write(fd, bytes, offset, length, null)).bytesWritten,
  ftruncate: promisify(fs.ftruncate),
}

async function open(
  calls: Partial<FileCalls> = {},
  sync: Sync = 'fsync',
): Promise<{ durable: DurableFile; file: string }> {
  const file = join(temporaryLog(), 'x')
  mkdirSync(dirname(file), { recursive: true })
  const durable = await openDurableFile(file, sync, { ...REAL, ...calls })
  onTestFinished(() => durable.close())
  return { durable, file }
}

test('appends one after the other', async () => {
  const { durable, file } = await open()
  await durable.append(Buffer.from('one\n'))
  await durable.append(Buffer.from('two\n'))
  expect(readFileSync(file, 'utf8')).toBe('one\ntwo\n')
})

test('goes on where the kernel took only a part', async () => {
  const write: FileCalls['write'] = (fd, bytes, offset) => REAL.write(fd, bytes, offset, 1)
  const { durable, file } = await open({ write })
  await durable.append(Buffer.from('one\ntwo\n'))
  expect(readFileSync(file, 'utf8')).toBe('one\ntwo\n')
})

test('every write is a sync, unless that is not wanted', async () => {
  const { durable } = await open()
  const { durable: plain } = await open({}, 'write')
  const isSync = ({ fd }: DurableFile): boolean => {
    const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? ''
    return (Number.parseInt(flags, 8) & fs.constants.O_DSYNC) !== 0
  }
  expect([isSync(durable), isSync(plain)]).toEqual([true, false])
})

test('takes back what was written when the disk fails', async () => {
  const faults = [new Error('EIO')]
  const { durable, file } = await open({
    write: async (...call) => {
      const written = await REAL.write(...call)
      const fault = faults.pop()
      if (fault !== undefined) throw fault
      return written
    },
  })
  await expect(durable.append(Buffer.from('one\n'))).rejects.toThrow('EIO')
  expect(readFileSync(file, 'utf8')).toBe('')
  await durable.append(Buffer.from('two\n'))
  expect(readFileSync(file, 'utf8')).toBe('two\n')
})

test('writes nothing behind a torn tail that it could not take back yet', async () => {
  let broken = true
  const refuse = (): Promise<never> => Promise.reject(new Error('EIO'))
  const { durable, file } = await open({
    write: async (...call) => {
      const written = await REAL.write(...call)
      return broken ? refuse() : written
    },
    ftruncate: (fd, size) => (broken ? refuse() : REAL.ftruncate(fd, size)),
  })
  await expect(durable.append(Buffer.from('a long torn one\n'))).rejects.toThrow('EIO')
  await expect(durable.append(Buffer.from('two\n'))).rejects.toThrow('EIO')
  expect(readFileSync(file, 'utf8')).toBe('a long torn one\n')
  broken = false
  await durable.append(Buffer.from('three\n'))
  expect(readFileSync(file, 'utf8')).toBe('three\n')
})

test('does not write to a file that was deleted', async () => {
  const { durable, file } = await open()
  rmSync(file)
  await expect(durable.append(Buffer.from('one\n'))).rejects.toMatchObject({ reason: 'deleted' })
})

test('does not write to a file that was emptied', async () => {
  const { durable, file } = await open()
  await durable.append(Buffer.from('one\n'))
  writeFileSync(file, '')
  await expect(durable.append(Buffer.from('two\n'))).rejects.toMatchObject({ reason: 'truncated' })
  expect(readFileSync(file, 'utf8')).toBe('')
})

test('does not write to a file that another process wrote into, nor cut what that wrote', async () => {
  const { durable, file } = await open()
  await durable.append(Buffer.from('one\n'))
  appendFileSync(file, 'x')
  await expect(durable.append(Buffer.from('two\n'))).rejects.toMatchObject({ reason: 'foreign_write' })
  expect(readFileSync(file, 'utf8')).toBe('one\nx')
})

test('takes back an append during which the file was moved away', async () => {
  const moves: (() => void)[] = []
  const { durable, file } = await open({
    write: async (...call) => {
      const done = await REAL.write(...call)
      moves.pop()?.()
      return done
    },
  })
  await durable.append(Buffer.from('one\n'))
  moves.push(() => renameSync(file, `${file}.1`))
  await expect(durable.append(Buffer.from('two\n'))).rejects.toMatchObject({ reason: 'renamed' })
  expect(readFileSync(`${file}.1`, 'utf8')).toBe('one\n')
})

test('leaves no hole where the file was cut just before a write, and takes that write back', async () => {
  const cuts: (() => void)[] = []
  const { durable, file } = await open({
    write: (...call) => {
      cuts.pop()?.()
      return REAL.write(...call)
    },
  })
  await durable.append(Buffer.from('one\n'))
  cuts.push(() => truncateSync(file, 0))
  await expect(durable.append(Buffer.from('two\n'))).rejects.toMatchObject({ reason: 'truncated' })
  expect(readFileSync(file, 'utf8')).toBe('')
})

test('refuses what is not a regular file', async () => {
  await expect(openDurableFile('/dev/null', 'write')).rejects.toThrow(AuditFileError)
})
