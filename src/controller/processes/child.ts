// The side of a process that serves: its siblings, as it reaches them over the parent.
import { AppError } from '../../core/errors.ts'
import type { Logger } from '../../platform/logger.ts'
import { createLink, LinkClosedError, type Handlers } from '../../platform/process-link.ts'
import { within } from '../../platform/within.ts'
import type { MeshHealth } from '../mesh/mesh.ts'
import { learnRoll, type RollParts } from '../routing/known-roll.ts'
import type { Roll } from '../routing/roll.ts'
import { createLinkedBlocks } from './linked-blocks.ts'
import { createLinkedRoll } from './linked-roll.ts'
import { createLinkedStore } from './linked-store.ts'
import type { Answers, Siblings } from './siblings.ts'
import type { BySlot, Seat, ToChild, ToParent } from './words.ts'

type ChildOptions = {
  /** The process itself, which a parent has started. */
  readonly port: Parameters<typeof createLink>[0]
  readonly seat: Seat
  readonly log: Pick<Logger, 'warn' | 'error'>
  /** Ends this process in order, as after this signal. */
  readonly end: (signal: ToChild['stop']['ask']) => void
}

/** Longer than the parent lets processes wait for each other: it hangs, and a policy that restricts must not wait for it. */
const TURN_MS = 5000
/** Longer than the parent waits for the answers of all: it hangs. */
const ANSWERS_MS = 2000
/** For what would be an error: cores that are busy must not look like a hang. */
const PATIENT_MS = 5000

export function joinParent({ port, seat, log, end }: ChildOptions): Siblings {
  let followed: { readonly roll: Roll; readonly parts: RollParts } | undefined
  let answers: Answers | undefined
  let meshHealth: MeshHealth | undefined
  const blocks = createLinkedBlocks(log)
  const handlers: Handlers<ToChild> = {
    know(known) {
      if (followed !== undefined) learnRoll(known, followed.parts)
    },
    apply: (change) => followed?.roll.apply(change) === true,
    beats(beats) {
      for (const beat of beats) followed?.roll.beat(beat)
    },
    mesh: (health) => void (meshHealth = health),
    blocks: blocks.told,
    ping: () => undefined,
    readiness: () => servingAnswers(answers).readiness(),
    metrics: () => servingAnswers(answers).metrics(),
    rotate: () => servingAnswers(answers).rotate(),
    audit: () => servingAnswers(answers).audit(),
    stop: end,
  }
  const link = createLink<ToParent, ToChild>(port, handlers, (err) =>
    log.error({ event: 'process_message_failed', err }, 'a message of another process could not be handled'),
  )
  return {
    ...seat,
    keyStore: createLinkedStore(link),
    meshHealth: () => meshHealth,
    async follow(roll, parts) {
      followed = { roll, parts }
      await link.ask('follow', null)
      return createLinkedRoll(link, roll)
    },
    async blocks() {
      return (await link.ask('followBlocks', null)) ? blocks.source : undefined
    },
    async policyTurn(revision) {
      if ((await within(TURN_MS, link.ask('policyTurn', { revision }))) === 'together') return
      const message = 'the policy comes into force here, though another process has not prepared it'
      log.warn({ event: 'policy_turn_missed', revision }, message)
    },
    async serve(serving, given) {
      answers = given
      await link.ask('listening', serving)
    },
    async readinessOfAll() {
      return (await within(ANSWERS_MS, link.ask('readinessOfAll', null))) ?? nobodysAnswer(seat)
    },
    // Not those of this process alone: each counter would seem to start again.
    metricsOfAll: () => answered(link.ask('metricsOfAll', null)),
    rotateAll: () => answered(link.ask('rotateAll', null)),
    async auditOfAll() {
      return (await within(ANSWERS_MS, link.ask('auditOfAll', null))) ?? nobodysAnswer(seat)
    },
  }
}

/** @throws {AppError} `parent_unavailable` when it hangs, `shutting_down` when it is gone */
async function answered<T>(asked: Promise<T>): Promise<T> {
  const answer = await within(PATIENT_MS, asked).catch((cause: unknown) => {
    throw cause instanceof LinkClosedError ? new AppError('shutting_down', undefined, { cause }) : cause
  })
  if (answer === undefined) throw new AppError('parent_unavailable')
  return answer
}

function servingAnswers(answers: Answers | undefined): Answers {
  if (answers === undefined) throw new AppError('internal_error', 'this process does not serve yet')
  return answers
}

function nobodysAnswer({ of }: Seat): BySlot<undefined> {
  return Array.from({ length: of }, (_, slot) => [slot, undefined] as const)
}
