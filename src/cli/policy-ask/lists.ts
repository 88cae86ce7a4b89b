// `crank who-can` and `crank what-can`: query the policy about every identity, or every capability, in its data.
import type { PolicyQuestion } from '../../policy/ask.ts'
import type { AskAnswer } from '../../core/policy-ask.ts'
import { parseCapability } from '../../core/capability.ts'
import { EXIT, type ExitCode } from '../exit.ts'
import { paint, say, writeJson, writeTable, type Column } from '../output.ts'
import { trustDomainOf } from '../places.ts'
import { askDecided, COLOURS, may, why } from './answer.ts'
import type { AskOptions } from './can-i.ts'
import { knownCapabilities, knownIdentities, workersWith, type Knowledge } from './knowledge.ts'
import { notKnown } from './nearest-miss.ts'
import { parseAt, parseTarget, parseWho, type Words } from './question.ts'
import { openSource } from './source.ts'
import { environment } from '../environment.ts'

/** `all`: also list denied entries. */
type ListOptions = AskOptions & { all?: true | undefined; enforced?: true | undefined }

const RULING: Column<AskAnswer> = { title: 'RULING', cell: ({ ruling }) => paint(COLOURS[ruling], ruling) }
const WHY: Column<AskAnswer> = {
  title: 'WHY',
  cell: (answer) => (answer.decision === 'allow' ? why(answer) : answer.reasons.map(({ code }) => code).join(', ')),
}

/** Lists the identities that may use a capability; `negative` when there are none. */
export async function whoCan(typed: Words, options: ListOptions): Promise<ExitCode> {
  const capability = parseTarget(typed)
  const atNs = parseAt(options.at)
  const questions = (known: Knowledge) => knownIdentities(known).map((spiffeId) => ({ spiffeId, capability, atNs }))
  const columns = (): Column<AskAnswer>[] => [{ title: 'WHO', cell: ({ spiffe_id }) => spiffe_id }, RULING, WHY]
  const remark = (known: Knowledge): string | undefined => notKnown(capability, known)
  return list({ questions, columns, subject: `no caller may use ${capability}`, remark }, options)
}

/** Lists the capabilities that an identity may use; `negative` when there are none. */
export async function whatCan(who: string, options: ListOptions): Promise<ExitCode> {
  const spiffeId = parseWho(who, trustDomainOf({}))
  const atNs = parseAt(options.at)
  const questions = (known: Knowledge) => knownCapabilities(known).map((capability) => ({ spiffeId, capability, atNs }))
  const columns = (known: Knowledge): Column<AskAnswer>[] => [
    { title: 'CAPABILITY', cell: ({ capability }) => capability },
    RULING,
    {
      title: 'PROVIDED BY',
      cell: ({ capability }) => workersWith(known, 'provided', parseCapability(capability)).join(' ') || '-',
    },
    WHY,
  ]
  return list({ questions, columns, subject: `${spiffeId} may not use any capability` }, options)
}

type Listing = {
  readonly questions: (known: Knowledge) => PolicyQuestion[]
  readonly columns: (known: Knowledge) => Column<AskAnswer>[]
  /** The result when every answer is no. */
  readonly subject: string
  /** An additional remark for that case. */
  readonly remark?: (known: Knowledge) => string | undefined
}

async function list({ questions, columns, subject, remark }: Listing, options: ListOptions): Promise<ExitCode> {
  const source = await openSource(options, environment())
  const known = await source.knowledge()
  const asked = questions(known)
  const answers = asked.length === 0 ? [] : await askDecided(source.ask, asked)
  const passing = answers.filter((answer) => may(answer, options.enforced))
  const shown = options.all === true ? answers : passing
  if (options.output === 'json') writeJson({ policy_revision: known.revision, asked: answers.length, answers: shown })
  else if (shown.length > 0) writeTable(columns(known), shown)
  if (passing.length === 0) say(`${subject}: checked all ${answers.length} in the policy data`)
  const more = passing.length === 0 ? remark?.(known) : undefined
  if (more !== undefined) say(more)
  if (known.enforcement.default === 'shadow') {
    say('the default mode is shadow: an identity that is not in the data also passes (enforcement.json)')
  }
  return passing.length > 0 ? EXIT.ok : EXIT.negative
}
