// `crank can-i`: whether a call is allowed, as a sentence and as exit code.
import type { PolicyQuestion } from '../../policy/ask.ts'
import type { AskAnswer } from '../../core/policy-ask.ts'
import { CliError, EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, writeLine, type Format } from '../output.ts'
import { trustDomainOf } from '../places.ts'
import { askDecided, may, why } from './answer.ts'
import { shellWord } from './change.ts'
import { notKnown } from './nearest-miss.ts'
import { parseAt, parseTarget, parseWho, type Words } from './question.ts'
import type { PolicySource } from './knowledge.ts'
import { openSource, type SourceOptions } from './source.ts'
import { environment } from '../environment.ts'

export type AskOptions = SourceOptions & { at?: string | undefined; output: Format }
export type Typed = Words & { readonly who: string }

/** `negative` when the call would be refused; with `enforced` also when only shadow mode lets it pass. */
export async function canI(typed: Typed, options: AskOptions & { enforced?: true | undefined }): Promise<ExitCode> {
  const question = readQuestion(typed, options, environment())
  const source = await openSource(options, environment())
  const answer = await askOne(source, question)
  const enforced = options.enforced === true
  const yes = may(answer, enforced)
  if (options.output === 'json') writeJson({ may: yes, ...answer })
  else {
    writeLine(`${yes ? paint('green', 'yes') : paint('red', 'no')}: ${sentence(answer, enforced)}`)
    if (answer.decision !== 'deny') return yes ? EXIT.ok : EXIT.negative
    const mistyped = notKnown(question.capability, await source.knowledge())
    if (mistyped !== undefined) say(mistyped)
    say(`for the reasons and what would change it: ${explainCommand(typed.who, question, options)}`)
  }
  return yes ? EXIT.ok : EXIT.negative
}

/** The question from the arguments. @throws {CliError} `usage` for invalid input, before the policy is asked */
export function readQuestion(
  { who, ...words }: Typed,
  { at }: { at?: string | undefined },
  env: NodeJS.ProcessEnv,
): PolicyQuestion {
  return { spiffeId: parseWho(who, trustDomainOf({}, env)), capability: parseTarget(words), atNs: parseAt(at) }
}

/** One question, one decision. */
export async function askOne({ ask }: PolicySource, question: PolicyQuestion): Promise<AskAnswer> {
  const [answer] = await askDecided(ask, [question])
  if (answer === undefined) throw new CliError(EXIT.internal, 'the controller returned no answer')
  return answer
}

function sentence(answer: AskAnswer, enforced: boolean): string {
  if (answer.ruling === 'would_deny') return `${enforced ? 'not once enforced' : 'in shadow mode only'}: ${why(answer)}`
  if (answer.decision !== 'allow') return why(answer)
  return `${answer.spiffe_id} may use ${answer.capability} (${why(answer)})`
}

function explainCommand(who: string, { capability }: PolicyQuestion, { adminUrl, policy }: SourceOptions): string {
  const from = policy === undefined ? adminUrl && ` --admin ${adminUrl}` : ` --policy ${shellWord(policy)}`
  return `crank explain ${who} ${capability.replace(':', ' ')}${from ?? ''}`
}
