// Limits on documents. Each error message names its limit in the words used here.

/** Size of a decoded document or mail. */
export const MAX_DOCUMENT_BYTES = 10 * 1024 * 1024
/** The same limit in base64, as in the input. */
export const MAX_BASE64_LENGTH = Math.ceil(MAX_DOCUMENT_BYTES / 3) * 4
/** CPU time of one conversion in its thread: a document that needs more is too big on any node. */
export const CPU_LIMIT_MS = 20_000
/**
 * Wall-clock time of one conversion, without the wait for a thread. Beyond it the node is too busy, not the document
 * too big.
 */
export const WALL_LIMIT_MS = 60_000
/** Limit for the JavaScript heap of one thread, and the same again for buffers outside of it. */
export const MEMORY_LIMIT_MB = 384
export const THREADS = 2
/** Concurrent calls of one capability, including those that wait for a thread. */
export const MAX_CONCURRENCY = 8

/** Pages of a PDF that is made, or that are read in one call. */
export const MAX_PAGES = 500
/** Characters of text read from a PDF or a mail. */
export const MAX_TEXT_CHARACTERS = 2_000_000

/** Open HTML tags. Browsers flatten at a depth of 512; beyond this limit the parser itself becomes slow. */
export const MAX_HTML_DEPTH = 5_000
/** Deepest indentation of lists and quotes; deeper levels stay at this one. */
export const MAX_INDENT = 8
export const MAX_TABLE_COLUMNS = 12
/** Columns searched to place cells beside merged ones: the search can grow with the square of the table's size. */
export const MAX_CELL_SEARCH = 1_000_000

/** Content beyond these limits is dropped with a warning; the document is still converted. */
export const MAX_IMAGES = 64
export const MAX_IMAGE_BYTES = 4 * 1024 * 1024
export const MAX_IMAGE_PIXELS = 16_000_000

export const MAX_ZIP_ENTRIES = 2_000
export const MAX_UNPACKED_BYTES = 64 * 1024 * 1024

export const MAX_MIME_DEPTH = 50
export const MAX_HEADER_BYTES = 256 * 1024
export const MAX_ATTACHMENTS = 200
