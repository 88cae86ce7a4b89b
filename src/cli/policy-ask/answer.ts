// An answer of the policy as a sentence, and as allowed or denied.
import type { AskPolicy, PolicyQuestion } from '../../policy/ask.ts'
import type { AskAnswer } from '../../core/policy-ask.ts'
import { CliError, EXIT } from '../exit.ts'
import type { Colour } from '../output.ts'

export const COLOURS: Readonly<Record<AskAnswer['ruling'], Colour>> = {
  allow: 'green',
  deny: 'red',
  would_deny: 'yellow',
  error: 'red',
  unevaluated: 'yellow',
}

/**
 * Asks the questions, and repeats those without a decision once: a busy machine occasionally misses a deadline.
 * @throws {CliError} `unreachable` if the policy still gives no decision, which is neither allowed nor denied
 */
export async function askDecided(ask: AskPolicy, questions: readonly PolicyQuestion[]): Promise<readonly AskAnswer[]> {
  const first = await ask(questions)
  const open = questions.filter((_, at) => first[at]?.error !== null)
  const again = open.length === 0 ? [] : await ask(open)
  const trouble = again.find(({ error }) => error !== null)
  if (trouble === undefined) return first.map((answer) => (answer.error === null ? answer : (again.shift() ?? answer)))
  const now = trouble.ruling === 'unevaluated' ? 'calls pass unevaluated, in shadow mode' : 'calls are refused'
  throw new CliError(EXIT.unreachable, `the policy gave no decision (${String(trouble.error)}); ${now}`, {
    hint: 'see: crank check',
  })
}

/** Whether the call goes through. `enforced`: as if shadow mode were off. */
export function may({ ruling }: AskAnswer, enforced = false): boolean {
  return ruling === 'allow' || (ruling === 'would_deny' && !enforced)
}

/** The ground of an allow, or the messages of a denial. */
export function why({ decision, grounds, exception, reasons }: AskAnswer): string {
  if (decision !== 'allow') return reasons.map(({ message }) => message).join('; ')
  return grounds
    .map((ground) => (ground === 'exception' && exception !== null ? `exception ${exception}` : ground))
    .join(', ')
}
