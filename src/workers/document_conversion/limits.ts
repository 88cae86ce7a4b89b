// What a document may ask of this worker. Each refusal names the limit by the words used here.

/** Of a document or a mail, decoded. */
export const MAX_DOCUMENT_BYTES = 10 * 1024 * 1024
/** The same in base64, as it stands in the input. */
export const MAX_BASE64_LENGTH = Math.ceil(MAX_DOCUMENT_BYTES / 3) * 4
/** CPU time of one conversion in its thread: a document that needs more is too big, on any node. */
export const CPU_LIMIT_MS = 20_000
/** Wall-clock time of the same; the wait for a thread does not count. Beyond it the node is too busy, not the document too big. */
export const WALL_LIMIT_MS = 60_000
/** Of one thread: of its JavaScript heap, and once more of the buffers outside of it. */
export const MEMORY_LIMIT_MB = 384
export const THREADS = 2
/** Calls of one capability at a time, those that wait for a thread included. */
export const MAX_CONCURRENCY = 8

/** Of a PDF that is made, or read in one call. */
export const MAX_PAGES = 500
/** Of the text read from a PDF or a mail. */
export const MAX_TEXT_CHARACTERS = 2_000_000

/** Open HTML tags. Browsers flatten what is deeper than 512; beyond this the parser itself becomes slow. */
export const MAX_HTML_DEPTH = 5_000
/** How far lists and quotes are set in; deeper ones stay at this. */
export const MAX_INDENT = 8
export const MAX_TABLE_COLUMNS = 12
/** Columns looked at for cells that stand beside merged ones: a table can make that grow with the square of its size. */
export const MAX_CELL_SEARCH = 1_000_000

/** What is beyond these is dropped with a warning, the document is still converted. */
export const MAX_IMAGES = 64
export const MAX_IMAGE_BYTES = 4 * 1024 * 1024
export const MAX_IMAGE_PIXELS = 16_000_000

export const MAX_ZIP_ENTRIES = 2_000
export const MAX_UNPACKED_BYTES = 64 * 1024 * 1024

export const MAX_MIME_DEPTH = 50
export const MAX_HEADER_BYTES = 256 * 1024
export const MAX_ATTACHMENTS = 200
