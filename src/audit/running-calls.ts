// Counts the calls whose end is not on record, from the bytes of their records.
import { isRuling, passes } from '../core/ruling.ts'

/** `members`: the text of a record from the members of its event on. */
type Members = () => string

export class RunningCalls {
  readonly #ids = new Set<string>()

  get count(): number {
    return this.#ids.size
  }

  see(event: string, members: Members): void {
    if (event === 'policy_decision') this.#decided(members())
    else if (event === 'route_outcome') this.#ids.delete(textMember(members(), 'decision_id') ?? '')
  }

  /** An outcome follows: of a decision that is made again before a retry, the first one's outcome says how it ended. */
  #decided(members: string): void {
    const ruling = textMember(members, 'decision')
    if (!isRuling(ruling) || !passes(ruling) || textMember(members, 'retry_of') !== undefined) return
    const id = textMember(members, 'decision_id')
    if (id !== undefined) this.#ids.add(id)
  }
}

/** A text without escapes, such as an id. Within a string its quote would be escaped, so the name cannot be found there. */
function textMember(members: string, name: string): string | undefined {
  const begin = `,"${name}":"`
  const at = members.indexOf(begin)
  return at === -1 ? undefined : members.slice(at + begin.length, members.indexOf('"', at + begin.length))
}
