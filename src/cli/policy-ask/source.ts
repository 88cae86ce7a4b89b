// Where a command asks: a running controller (default), or a policy folder. Both judge as /route does.
import { resolve } from 'node:path'
import { Compile } from 'typebox/compile'
import { request } from 'undici'
import { withBrake } from '../../policy/brake.ts'
import { createOfflineEngine } from '../../policy/engine/evaluate-files.ts'
import { createAsk, type AskPolicy, type PolicyQuestion } from '../../policy/ask.ts'
import { createOwnKnowledge } from '../../policy/ruling.ts'
import { splitCapability } from '../../core/capability.ts'
import { jsonMembers } from '../../core/json-members.ts'
import { AskAnswers, formatInstant, MAX_QUESTIONS, type AskAnswer, type AskQuestion } from '../../core/policy-ask.ts'
import { adminUrlOf } from '../places.ts'
import { CliError, EXIT, messageOf, usageFailure } from '../exit.ts'
import { say } from '../output.ts'
import { parseKnowledge, type Knowledge } from './knowledge.ts'

export type SourceOptions = { adminUrl?: string | undefined; policy?: string | undefined }

export type PolicySource = {
  readonly ask: AskPolicy
  readonly knowledge: () => Promise<Knowledge>
}

const TIMEOUT_MS = 10_000
const MAX_DATA_DEPTH = 100

/** @throws {CliError} `usage` for an unusable folder; a controller is contacted only when it is asked. */
export async function openSource({ adminUrl, policy }: SourceOptions, env: NodeJS.ProcessEnv): Promise<PolicySource> {
  if (policy !== undefined) return folderSource(resolve(policy), env)
  return adminSource(adminUrlOf({ adminUrl }, env))
}

async function folderSource(policyDir: string, env: NodeJS.ProcessEnv): Promise<PolicySource> {
  const now = Date.now
  const onCompile = (reason: string): void => {
    say(`${reason}: compiled again`)
  }
  const { name, decide, files } = await createOfflineEngine(policyDir, { env, now, onCompile }).catch(
    (cause: unknown) => {
      throw usageFailure('--policy cannot be used', cause)
    },
  )
  const { revision, dataText } = files
  return {
    ask: createAsk({
      // As in a controller with this folder: its block list is checked before the policy.
      policy: {
        decide: withBrake({ blocked: () => files.blocked, revision: () => revision }, decide),
        engine: name,
        isRemote: false,
        revision: () => revision,
      },
      own: createOwnKnowledge(() => files),
      monotonic: performance.now.bind(performance),
      now,
    }),
    knowledge: () => Promise.resolve(parseKnowledge({ policyDir, revision, dataText })),
  }
}

function adminSource(url: string): PolicySource {
  return {
    async ask(questions) {
      const answers: AskAnswer[] = []
      for (let at = 0; at < questions.length; at += MAX_QUESTIONS) {
        const body = { questions: questions.slice(at, at + MAX_QUESTIONS).map(toWire) }
        answers.push(...parseAnswers(await call(url, '/policy/ask', body)))
      }
      return answers
    },
    knowledge: async () => parseKnowledge(parseDataReply(await call(url, '/policy/data'))),
  }
}

const isAnswers = Compile(AskAnswers)

function parseAnswers(text: string): AskAnswer[] {
  const reply = parseJson(text)
  if (isAnswers.Check(reply)) return reply.answers
  throw strangeAnswer('/policy/ask')
}

/** The answer of `/policy/data`; the data stays text, since its numbers have up to 19 digits. */
export function parseDataReply(text: string): Readonly<Record<'policyDir' | 'revision' | 'dataText', string>> {
  const members = membersOf(text)
  const [policyDir, revision] = ['policy_dir', 'policy_revision'].map((name) =>
    parseJson(members.get(name)?.toString() ?? 'null'),
  )
  const dataText = members.get('data')?.toString()
  if (typeof policyDir === 'string' && typeof revision === 'string' && dataText !== undefined) {
    return { policyDir, revision, dataText }
  }
  throw strangeAnswer('/policy/data')
}

function membersOf(text: string): ReadonlyMap<string, Buffer> {
  try {
    return jsonMembers(Buffer.from(text), { maxDepth: MAX_DATA_DEPTH })
  } catch {
    return new Map()
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function strangeAnswer(path: string): CliError {
  return new CliError(EXIT.unreachable, `the answer to ${path} does not come from a controller's admin listener`, {
    hint: 'is this the admin listener of a controller of this version? See: crank check',
  })
}

function toWire({ spiffeId, capability, atNs }: PolicyQuestion): AskQuestion {
  const { verb, name } = splitCapability(capability)
  const at = atNs === undefined ? {} : { at: formatInstant(atNs) }
  return { spiffe_id: spiffeId, verb, capability: name, ...at }
}

async function call(url: string, path: string, body?: object): Promise<string> {
  const sent =
    body === undefined
      ? ({ method: 'GET' } as const)
      : ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } as const)
  const limits = { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS }
  const { statusCode, text } = await request(url + path, { ...sent, ...limits })
    .then(async (answer) => ({ statusCode: answer.statusCode, text: await answer.body.text() }))
    .catch((cause: unknown) => {
      const hint = 'is it running (crank check), and is this its admin listener? To query files instead: --policy <dir>'
      throw new CliError(EXIT.unreachable, `cannot reach the controller at ${url}: ${messageOf(cause)}`, {
        cause,
        hint,
      })
    })
  if (statusCode === 200) return text
  const exit = statusCode === 400 ? EXIT.usage : EXIT.unreachable
  throw new CliError(exit, `${url}${path} answers ${statusCode}: ${text.slice(0, 500)}`, {
    hint: 'is this the admin listener of a controller? See: crank check',
  })
}
