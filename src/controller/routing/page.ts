// Pages of a list sorted by key: at most `limit` entries after the key `after`.
import { AppError } from '../../core/errors.ts'
import type { CatalogQuery } from '../../core/wire.ts'

type Page = { readonly limit: number; readonly after: string | undefined }

const MAX_LIMIT = 1000

/** Parses `?limit=&after=`. @throws {AppError} `request_invalid` */
export function parsePage({ limit, after }: CatalogQuery): Page {
  if (limit === undefined) return { limit: MAX_LIMIT, after }
  const count = /^[1-9][0-9]{0,3}$/.test(limit) ? Number(limit) : Infinity
  if (count > MAX_LIMIT) throw new AppError('request_invalid', `limit must be a whole number from 1 to ${MAX_LIMIT}`)
  return { limit: count, after }
}

/** `next`: the value of `after` for the next page; absent on the last page. */
export function pageOf<T>(
  entries: Iterable<readonly [key: string, entry: T]>,
  { limit, after }: Page,
): { entries: T[]; next?: string } {
  const behind = [...entries].filter(([key]) => after === undefined || key > after)
  const page = behind.sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit)
  const next = behind.length > limit ? page.at(-1)?.[0] : undefined
  return { entries: page.map(([, entry]) => entry), ...(next !== undefined && { next }) }
}
