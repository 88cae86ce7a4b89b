// A version constraint of a call, such as ^1.2, in the grammar of npm: parsed once per text, and each version compared once.
import { LRUCache } from 'lru-cache'
import { Range } from 'semver'
import { AppError } from '../../core/errors.ts'
import { quoted } from '../../core/printable.ts'

export type VersionRange = { readonly text: string; readonly includes: (version: string) => boolean }

const MAX_RANGES = 256
const MAX_VERSIONS = 64
const ranges = new LRUCache<string, VersionRange>({ max: MAX_RANGES })

/** @throws {AppError} `request_invalid` */
export function parseVersionRange(text: string): VersionRange {
  const known = ranges.get(text)
  if (known !== undefined) return known
  const parsed = rangeOf(text)
  const compared = new LRUCache<string, boolean>({ max: MAX_VERSIONS })
  const range: VersionRange = {
    text,
    includes(version) {
      const before = compared.get(version)
      if (before !== undefined) return before
      const result = parsed.test(version)
      compared.set(version, result)
      return result
    },
  }
  ranges.set(text, range)
  return range
}

function rangeOf(text: string): Range {
  try {
    return new Range(text)
  } catch (cause: unknown) {
    const reason = `version ${quoted(text)} is not a constraint such as 1.2.3, ^1.2, ~1.2, 1.x or ">=1.2 <2"`
    throw new AppError('request_invalid', reason, { cause })
  }
}
