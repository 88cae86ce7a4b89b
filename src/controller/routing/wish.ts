// On the path of every call that has one. What a call asks of its worker: a version, labels that it must have, and labels
// that are preferred.
import type { Labels } from './labels.ts'
import { parseVersionRange, type VersionRange } from './version-range.ts'

/** `first`: the same with the preferred labels required: tried before. */
export type Wish = {
  readonly version: VersionRange | undefined
  readonly require: Labels
  readonly first: Wish | undefined
}

/** The members of a call as they were sent. */
type AskedWish = {
  readonly version?: string | undefined
  readonly prefer?: Readonly<Record<string, string>> | undefined
  readonly require?: Readonly<Record<string, string>> | undefined
}

/** Undefined if the call asks for nothing. @throws {AppError} `request_invalid` for a version constraint that is none. */
export function parseWish({ version, prefer, require }: AskedWish): Wish | undefined {
  if (version === undefined && prefer === undefined && require === undefined) return undefined
  const range = version === undefined ? undefined : parseVersionRange(version)
  const required = Object.entries(require ?? {})
  const preferred = Object.entries(prefer ?? {})
  const first =
    preferred.length === 0 ? undefined : { version: range, require: [...required, ...preferred], first: undefined }
  return { version: range, require: required, first }
}

/** Whether an offer of this version, by a worker with these labels, is what the call asks for. */
export function meets(wish: Wish, version: string, labels: ReadonlyMap<string, string>): boolean {
  for (const [name, value] of wish.require) if (labels.get(name) !== value) return false
  return wish.version === undefined || wish.version.includes(version)
}
