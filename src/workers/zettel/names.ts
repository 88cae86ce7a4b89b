// Turns titles, ids and categories into file names, and into the keys that find them.
import { createHash } from 'node:crypto'

const MAX_FOLDER = 64
const MAX_TITLE = 80

/** An id that a caller may choose; it becomes part of the file name. Ids that differ only in case are the same. */
export const ZETTEL_ID = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'

/**
 * `<category>/<id>.<title>.md`, below the root: lower-case ASCII except for the id, at most 64 and 153 characters.
 * No file system folds or normalises two of them into one, and an id has one file name for any title.
 */
export function pathOf({
  zettel_id,
  category,
  title,
}: {
  readonly zettel_id: string
  readonly category: string
  readonly title: string
}): string {
  const slug = slugOf(title, MAX_TITLE)
  return `${folderOf(category)}/${zettel_id}${slug === '' ? '' : `.${slug}`}.md`
}

/** Reduces a text to a-z, 0-9 and single hyphens; accents are dropped. May be empty. */
export function slugOf(text: string, maxLength: number): string {
  return text
    .normalize('NFKD')
    .replaceAll(/\p{M}+/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-/, '')
    .slice(0, maxLength)
    .replace(/-$/, '')
}

/** Equal for names that look the same to a reader: case, width, spaces and composition of accents do not count. */
export function keyOf(name: string): string {
  return name.normalize('NFKC').toLowerCase().normalize('NFKC').trim().replaceAll(/\s+/gu, ' ')
}

// A category in another script also has its own folder.
function folderOf(category: string): string {
  const slug = slugOf(category, MAX_FOLDER)
  return slug === '' ? `x-${createHash('sha256').update(category.normalize('NFC')).digest('hex').slice(0, 12)}` : slug
}
