// Where a command asks: a running controller (default), or a policy folder. Both judge as /route does.
// Only a folder needs the policy engine: it is loaded then.
import { resolve } from 'node:path'
import type { PolicyQuestion } from '../../policy/ask.ts'
import { answersIn } from '../../core/ask-answers.ts'
import { MAX_QUESTIONS } from '../../core/ask-limit.ts'
import { splitCapability } from '../../core/capability.ts'
import { formatInstant } from '../../core/instant.ts'
import { jsonMembers } from '../../core/json-members.ts'
import type { AskAnswer, AskQuestion } from '../../core/policy-ask.ts'
import { CliError, EXIT, messageOf } from '../exit.ts'
import { requestHttp, type HttpRequest } from '../http-request.ts'
import { adminUrlOf } from '../places.ts'
import { parseKnowledge, type PolicySource } from './knowledge.ts'

export type SourceOptions = { adminUrl?: string | undefined; policy?: string | undefined }

const TIMEOUT_MS = 10_000
const MAX_DATA_DEPTH = 100

/** @throws {CliError} `usage` for an unusable folder; a controller is contacted only when it is asked. */
export async function openSource({ adminUrl, policy }: SourceOptions, env: NodeJS.ProcessEnv): Promise<PolicySource> {
  if (policy !== undefined) {
    const { openFolder } = await import('./folder-source.ts')
    return openFolder(resolve(policy), env)
  }
  return adminSource(adminUrlOf({ adminUrl }, env))
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

function parseAnswers(text: string): readonly AskAnswer[] {
  const answers = answersIn(parseJson(text))
  if (answers !== undefined) return answers
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
  const sent: Omit<HttpRequest, 'timeoutMs'> =
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const { statusCode, text } = await requestHttp(url + path, { ...sent, timeoutMs: TIMEOUT_MS }).catch(
    (cause: unknown) => {
      const hint = 'is it running (crank check), and is this its admin listener? To query files instead: --policy <dir>'
      throw new CliError(EXIT.unreachable, `cannot reach the controller at ${url}: ${messageOf(cause)}`, {
        cause,
        hint,
      })
    },
  )
  if (statusCode === 200) return text
  const exit = statusCode === 400 ? EXIT.usage : EXIT.unreachable
  throw new CliError(exit, `${url}${path} answers ${statusCode}: ${text.slice(0, 500)}`, {
    hint: 'is this the admin listener of a controller? See: crank check',
  })
}
