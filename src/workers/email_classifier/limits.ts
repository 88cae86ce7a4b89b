// What a mail may ask of this worker. Each refusal names the limit by the words used here.

/** Of the mail, decoded where it is in base64. */
export const MAX_CONTENT_BYTES = 10 * 1024 * 1024
/** The same in base64, as it stands in the input. */
export const MAX_CONTENT_LENGTH = Math.ceil(MAX_CONTENT_BYTES / 3) * 4
export const MAX_SUBJECT_LENGTH = 1000
/** How much of the body is looked at: what a mail is, it says at its start. 99.8 % of the corpus is shorter. */
export const MAX_ANALYSED_CHARACTERS = 64_000
/** Calls of one capability at a time: most wait for the converter. */
export const MAX_CONCURRENCY = 16
