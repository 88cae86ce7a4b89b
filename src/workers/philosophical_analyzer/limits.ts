// Limits on texts and lexicons: together they bound the work of a call.

/** In characters (code points), without white space around the text. */
export const MIN_TEXT_LENGTH = 50
/** In UTF-16 code units. */
export const MAX_TEXT_LENGTH = 200_000
export const MAX_PHRASE_WORDS = 6
export const MAX_WITHIN = 20
