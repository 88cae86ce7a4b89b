// Where an export goes: standard output, or a file that appears only once it is whole.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { beforeEarlyEnd } from '../early-end.ts'
import { CliError, EXIT } from '../exit.ts'

export type Sink = {
  readonly write: (text: string) => Promise<void>
  /** Everything is on its way; a file is on the disk, under its name. */
  readonly finish: () => Promise<void>
  /** After a failure: nothing is left of a file. */
  readonly abandon: () => Promise<void>
}

const CHUNK = 256 * 1024
const MODE = 0o600

/** @throws {CliError} `usage` when the file cannot be created */
export async function openSink(file: string | undefined): Promise<Sink> {
  return file === undefined ? stdoutSink() : await fileSink(file)
}

function stdoutSink(): Sink {
  const send = async (text: string): Promise<void> => {
    if (text !== '' && !process.stdout.write(text)) await once(process.stdout, 'drain')
  }
  return { ...gathered(send), abandon: () => Promise.resolve() }
}

async function fileSink(file: string): Promise<Sink> {
  const draft = `${file}.${randomUUID()}`
  const handle = await open(draft, 'wx', MODE).catch((cause: unknown) => {
    throw failure(file, cause)
  })
  const remove = async (): Promise<void> => {
    await handle.close().catch(() => undefined)
    await rm(draft, { force: true })
  }
  const forget = beforeEarlyEnd(remove)
  const sink = gathered((text) => writeTo(handle, text, file))
  return {
    write: sink.write,
    async finish() {
      await sink.finish()
      await handle.sync()
      await handle.close()
      await rename(draft, file).catch((cause: unknown) => {
        throw failure(file, cause)
      })
      forget()
    },
    async abandon() {
      await remove()
      forget()
    },
  }
}

/** Fewer and larger writes. */
function gathered(send: (text: string) => Promise<void>): Pick<Sink, 'write' | 'finish'> {
  let text = ''
  const flush = async (): Promise<void> => {
    const whole = text
    text = ''
    await send(whole)
  }
  return {
    async write(more) {
      text += more
      if (text.length >= CHUNK) await flush()
    },
    finish: flush,
  }
}

async function writeTo(handle: FileHandle, text: string, file: string): Promise<void> {
  try {
    await handle.writeFile(text)
  } catch (cause: unknown) {
    throw failure(file, cause)
  }
}

function failure(file: string, cause: unknown): CliError {
  const { code = String(cause) } = cause as NodeJS.ErrnoException
  return new CliError(EXIT.usage, `cannot write ${file}: ${code}`, { cause, hint: 'name another file with --out' })
}
