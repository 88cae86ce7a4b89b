// Limits on mails. Each error message names its limit in the words used here.

/** Size of the mail, decoded if it is in base64. */
export const MAX_CONTENT_BYTES = 10 * 1024 * 1024
/** The same limit in base64, as in the input. */
export const MAX_CONTENT_LENGTH = Math.ceil(MAX_CONTENT_BYTES / 3) * 4
export const MAX_SUBJECT_LENGTH = 1000
/** How much of the body is analysed: the start shows what a mail is. 99.8 % of the corpus is shorter. */
export const MAX_ANALYSED_CHARACTERS = 64_000
/** Concurrent calls of one capability; most of them wait for the converter. */
export const MAX_CONCURRENCY = 16
