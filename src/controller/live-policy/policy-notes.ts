// Problems of a policy that still decides: for /readyz, `crank check` and a metric. None of them makes the controller not
// ready, so that one typo, or an OPA that reports little, does not take every controller out of service.

/**
 * `folder`: the files on disk are not in force. `opa_files`: OPA has loaded different files. `opa_bundle`: OPA did not
 * activate its bundle. `opa_silent`: OPA does not report what it has loaded. `mesh_blocks`: blocks of the mesh may be missing.
 */
const NOTE_CAUSES = ['folder', 'opa_files', 'opa_bundle', 'opa_silent', 'mesh_blocks'] as const
export type NoteCause = (typeof NOTE_CAUSES)[number]
export type PolicyNote = { readonly cause: NoteCause; readonly reason: string }

/** For each cause, whether a note has it. */
export function notedCauses(notes: readonly PolicyNote[]): Record<NoteCause, boolean> {
  const isNoted = (cause: NoteCause): boolean => notes.some((note) => note.cause === cause)
  return Object.fromEntries(NOTE_CAUSES.map((cause) => [cause, isNoted(cause)])) as Record<NoteCause, boolean>
}

const MAX_REASON = 1024

/** All notes as one line; undefined when there are none. */
export function notesText(notes: readonly PolicyNote[]): string | undefined {
  if (notes.length === 0) return undefined
  return notes
    .map(({ reason }) => reason.replaceAll('\n', '; '))
    .join('; ')
    .slice(0, MAX_REASON)
}
