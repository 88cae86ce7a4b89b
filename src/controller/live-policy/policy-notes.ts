// What is to be known of a policy that decides all the same: for /readyz, `crank check` and a metric. None of it turns
// readiness red, so that one typo, or one OPA that says little, does not take every controller out.

/**
 * `folder`: the files are not in force. `opa_files`: OPA has others than the folder. `opa_bundle`: OPA did not take over its
 * bundle. `opa_silent`: OPA does not say what it has.
 */
const NOTE_CAUSES = ['folder', 'opa_files', 'opa_bundle', 'opa_silent'] as const
export type NoteCause = (typeof NOTE_CAUSES)[number]
export type PolicyNote = { readonly cause: NoteCause; readonly reason: string }

/** Each cause, and whether it is among the notes. */
export function notedCauses(notes: readonly PolicyNote[]): Record<NoteCause, boolean> {
  const isNoted = (cause: NoteCause): boolean => notes.some((note) => note.cause === cause)
  return Object.fromEntries(NOTE_CAUSES.map((cause) => [cause, isNoted(cause)])) as Record<NoteCause, boolean>
}

const MAX_REASON = 1024

/** All of them as one line; undefined when there is nothing to say. */
export function notesText(notes: readonly PolicyNote[]): string | undefined {
  if (notes.length === 0) return undefined
  return notes
    .map(({ reason }) => reason.replaceAll('\n', '; '))
    .join('; ')
    .slice(0, MAX_REASON)
}
