// The side of a process that serves: its siblings, as it reaches them over the parent.
import { AppError } from '../../core/errors.ts'
import type { Logger } from '../../platform/logger.ts'
import { createLink, type Handlers, type Link, LinkClosedError } from '../../platform/process-link.ts'
import { learnRoll, type RollParts } from '../routing/known-roll.ts'
import type { Beat, Roll } from '../routing/roll.ts'
import { createLinkedStore } from './linked-store.ts'
import type { Answers, Siblings } from './siblings.ts'
import type { Seat, ToChild, ToParent } from './words.ts'

type ChildOptions = {
  /** The process itself, which a parent has started. */
  readonly port: Parameters<typeof createLink>[0]
  readonly seat: Seat
  readonly log: Pick<Logger, 'warn' | 'error'>
  /** Ends this process in order, as after this signal. */
  readonly end: (signal: ToChild['stop']['ask']) => void
}

/** Heartbeats are collected: a thousand workers send a hundred a second. */
const COLLECT_MS = 100

export function joinParent({ port, seat, log, end }: ChildOptions): Siblings {
  let followed: { readonly roll: Roll; readonly parts: RollParts } | undefined
  let answers: Answers | undefined
  const handlers: Handlers<ToChild> = {
    know(known) {
      if (followed !== undefined) learnRoll(known, followed.parts)
    },
    apply: (change) => followed?.roll.apply(change) === true,
    beats(beats) {
      for (const beat of beats) followed?.roll.beat(beat)
    },
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
    async follow(roll, parts) {
      followed = { roll, parts }
      await link.ask('follow', null)
      return { share: (change) => link.ask('share', change).catch(refuseClosed), beat: beatsOver(link) }
    },
    async policyTurn(revision) {
      const how = await link.ask('policyTurn', { revision })
      if (how === 'together') return
      const message = 'the policy comes into force here, though another process has not prepared it'
      log.warn({ event: 'policy_turn_missed', revision }, message)
    },
    async serve(serving, given) {
      answers = given
      await link.ask('listening', serving)
    },
    readinessOfAll: () => link.ask('readinessOfAll', null),
    metricsOfAll: () => link.ask('metricsOfAll', null),
    rotateAll: () => link.ask('rotateAll', null),
    auditOfAll: () => link.ask('auditOfAll', null),
  }
}

function servingAnswers(answers: Answers | undefined): Answers {
  if (answers === undefined) throw new AppError('internal_error', 'this process does not serve yet')
  return answers
}

function refuseClosed(cause: unknown): never {
  throw cause instanceof LinkClosedError ? new AppError('shutting_down') : cause
}

function beatsOver(link: Link<ToParent>): (beat: Beat) => void {
  let collected: Beat[] = []
  const send = (): void => {
    link.tell('beats', collected)
    collected = []
  }
  return (beat) => {
    if (collected.push(beat) === 1) setTimeout(send, COLLECT_MS).unref()
  }
}
