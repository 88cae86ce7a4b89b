/** The most questions that one `POST /policy/ask` may have. */
export const MAX_QUESTIONS = 1000
