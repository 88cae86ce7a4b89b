// The parent's side of each process that serves: what it may ask, and what the parent asks all of them.
import type { ChildProcess } from 'node:child_process'
import type { Logger } from '../../platform/logger.ts'
import { createLink, type Handlers, type Link } from '../../platform/process-link.ts'
import { within } from '../../platform/within.ts'
import type { BlockSource } from '../../policy/data/block-entry.ts'
import type { KeyStore } from '../idempotency/key-store.ts'
import type { Mesh, MeshHealth } from '../mesh/mesh.ts'
import { countedOf, mergeFamilies, type MetricFamily } from '../metrics/merged-metrics.ts'
import { knownRollOf, type RollParts } from '../routing/known-roll.ts'
import type { Holder } from '../routing/registry.ts'
import type { Beat, Roll, RollChange } from '../routing/roll.ts'
import { inOrder } from './mesh-roll.ts'
import type { PolicyTurns } from './policy-turns.ts'
import { storeOfProcess, type StoreOfProcess } from './shared-store.ts'
import { watchForHang } from './watchdog.ts'
import type { BySlot, Serving, ToChild, ToParent } from './words.ts'

type FamilyOptions = {
  readonly of: number
  readonly roll: Roll
  /** The parent's own view of the workers: a process that starts gets it. */
  readonly parts: RollParts
  readonly store: KeyStore
  /** Other controllers; called after a change was made in all processes of this one. Undefined: there are none. */
  readonly mesh?: () => Pick<Mesh, 'changed' | 'beat' | 'registeredAt'> | undefined
  /** The blocks of the mesh; undefined: there is none. */
  readonly blocks?: BlockSource | undefined
  readonly turns: PolicyTurns
  readonly ownMetrics: () => Promise<readonly MetricFamily[]>
  readonly log: Pick<Logger, 'error'>
  readonly onServing: (slot: number, serving: Serving) => void
}

type Family = {
  readonly joined: (slot: number, child: ChildProcess) => void
  readonly left: (slot: number, child: ChildProcess) => void
  /** How many processes serve. */
  readonly serving: () => number
  /** The parent has removed a silent worker. */
  readonly removed: (holder: Holder) => void
  /** Another controller has made a change: in the parent and in all processes. */
  readonly apply: (change: RollChange) => void
  /** Another controller was sent heartbeats. */
  readonly beats: (beats: readonly Beat[]) => void
  /** How the link to the shared store is: in all processes. */
  readonly meshHealth: (health: MeshHealth) => void
  readonly tellToStop: (child: ChildProcess, signal: ToChild['stop']['ask']) => void
}

type Member = {
  readonly slot: number
  readonly link: Link<ToChild>
  readonly store: StoreOfProcess
  /** It has the roll, and gets its changes. */
  follows: boolean
  /** It has the block list of the mesh, and gets its changes. */
  followsBlocks: boolean
  serves: boolean
  /** Ends the watch over it. */
  unwatch: () => void
  lastMetrics: readonly MetricFamily[]
}

/** A worker learns its lease when every process knows it, but does not wait longer for one that hangs. */
const SHARE_MS = 250
const ANSWER_MS = 1000

export function createFamily(options: FamilyOptions): Family {
  const { turns, log } = options
  const members = new Map<ChildProcess, Member>()
  const scrapes = createScrapes(() => [...members.values()], options.ownMetrics)
  const onError = (err: unknown): void =>
    log.error({ event: 'process_message_failed', err }, 'a message of a process could not be handled')
  const tellAll = (name: 'apply', change: RollChange): void => {
    for (const { link, follows } of members.values()) if (follows) link.tell(name, change)
  }

  options.blocks?.onChange(() => {
    for (const member of members.values()) if (member.followsBlocks) tellBlocks(member, options.blocks)
  })

  return {
    joined(slot, child) {
      const store = storeOfProcess(options.store)
      const all = (): Member[] => [...members.values()]
      const handlers = createHandlers({ options, all, own: () => member, child, metricsOfAll: () => scrapes.all() })
      const link = createLink<ToChild, ToParent>(child, handlers, onError)
      const member: Member = { slot, link, store, ...NEW_MEMBER }
      members.set(child, member)
    },
    left(slot, child) {
      const member = members.get(child)
      if (member === undefined) return
      members.delete(child)
      member.unwatch()
      member.store.abandon()
      turns.gone(slot)
      scrapes.gone(member)
    },
    serving: () => [...members.values()].filter(({ serves }) => serves).length,
    removed: (holder) => tellAll('apply', { kind: 'dismissed', holder }),
    apply(change) {
      options.roll.apply(change)
      tellAll('apply', change)
    },
    beats(beats) {
      beats.forEach(options.roll.beat)
      tellBeats([...members.values()], beats)
    },
    meshHealth(health) {
      for (const { link, follows } of members.values()) if (follows && !link.isBehind()) link.tell('mesh', health)
    },
    tellToStop: (child, signal) => members.get(child)?.link.tell('stop', signal),
  }
}

type HandlersOptions = {
  readonly options: FamilyOptions
  readonly all: () => Member[]
  /** Who asks. */
  readonly own: () => Member
  readonly child: ChildProcess
  readonly metricsOfAll: () => Promise<readonly MetricFamily[]>
}

/** What one process may ask of the parent. */
function createHandlers({ options, all, own, child, metricsOfAll }: HandlersOptions): Handlers<ToParent> {
  const { of, roll, parts, turns, log, onServing, mesh } = options
  return {
    follow() {
      const member = own()
      // In this order: a change that comes now is sent behind it.
      member.link.tell('know', knownRollOf(parts))
      member.follows = true
    },
    share(change) {
      // Two processes may have had room for one each.
      if (change.kind === 'registered') parts.registry.refuseIfFull(change.registration)
      const joined = mesh?.()
      return share({ roll, members: all(), from: own(), mesh: joined }, inOrder(change, joined))
    },
    beats(beats) {
      for (const beat of beats) {
        roll.beat(beat)
        mesh?.()?.beat(beat)
      }
      tellBeats(
        all().filter((other) => other !== own()),
        beats,
      )
    },
    begin: (claim) => own().store.begin(claim),
    end: ({ claim, ending }) => own().store.end(claim, ending),
    followBlocks() {
      own().followsBlocks = true
      return tellBlocks(own(), options.blocks)
    },
    policyTurn: ({ revision }) => turns.prepared(own().slot, revision),
    listening(serving) {
      const member = own()
      const { slot, link } = member
      member.serves = true
      member.unwatch = watchForHang({
        ask: () => link.ask('ping', null),
        onHang: () => endHanging(slot, child, log),
      })
      turns.serves(slot, serving.revision)
      onServing(slot, serving)
    },
    readinessOfAll: () => ofAll(all(), of, ({ link }) => link.ask('readiness', null)),
    metricsOfAll,
    rotateAll: () => ofAll(all(), of, ({ link }) => link.ask('rotate', null)),
    auditOfAll: () => ofAll(all(), of, ({ link }) => link.ask('audit', null)),
  }
}

/** The metrics of all processes, those included that are gone: a counter must never become smaller. */
function createScrapes(members: () => Member[], ownMetrics: FamilyOptions['ownMetrics']) {
  let past: Promise<readonly MetricFamily[]> = Promise.resolve([])
  return {
    async all(): Promise<MetricFamily[]> {
      await Promise.all(
        members()
          .filter(({ serves }) => serves)
          .map(readMetrics),
      )
      const parents = await ownMetrics()
      // In one step: a process that ends is either here or in the past, never both.
      const [all, before] = [members().map(({ lastMetrics }) => lastMetrics), past]
      return mergeFamilies([...all, await before, parents])
    },
    gone(member: Member): void {
      // Read later: its last answer may have arrived a moment ago.
      past = past.then((before) => mergeFamilies([before, countedOf(member.lastMetrics)]))
    },
  }
}

/** Its successor gets the seat when it is gone. */
function endHanging(slot: number, child: ChildProcess, log: FamilyOptions['log']): void {
  const fields = { event: 'process_hangs', process: slot, process_id: child.pid }
  log.error(fields, 'a process of the controller has not answered for half a minute, and is killed')
  child.kill('SIGKILL')
}

function nothing(): void {
  // It is not watched yet.
}

const NEW_MEMBER = { follows: false, followsBlocks: false, serves: false, unwatch: nothing, lastMetrics: [] }

/** A block must not be lost, however far behind a process is. @returns whether there is a mesh */
function tellBlocks({ link }: Member, blocks: BlockSource | undefined): boolean {
  if (blocks !== undefined) link.tell('blocks', blocks.known())
  return blocks !== undefined
}

function tellBeats(members: readonly Member[], beats: readonly Beat[]): void {
  for (const { follows, link } of members) {
    // One that hangs must not fill the memory of the parent. It gets the next ones when it continues.
    if (follows && !link.isBehind()) link.tell('beats', beats)
  }
}

type Sharing = {
  readonly roll: Roll
  readonly members: readonly Member[]
  readonly from: Member
  readonly mesh: Pick<Mesh, 'changed'> | undefined
}

/** Here first, then everywhere: what `from` made of it is the answer. */
async function share({ roll, members, from, mesh }: Sharing, change: RollChange): Promise<boolean> {
  const isNews = roll.apply(change)
  const settled = roll.settled(change)
  const ask = ({ link }: Member): Promise<boolean> => link.ask('apply', change).catch(() => false)
  const others = members.filter((member) => member !== from && member.follows).map(ask)
  const asked = ask(from)
  // Behind the change itself: what the mesh makes of it is told to the processes, too.
  const told = isNews ? mesh?.changed(change) : undefined
  const isChanged = await asked
  await within(SHARE_MS, Promise.all(others))
  await Promise.all([settled, told])
  return isChanged
}

async function ofAll<T>(
  members: Iterable<Member>,
  of: number,
  ask: (member: Member) => Promise<T>,
): Promise<BySlot<T>> {
  const answers: [number, T | undefined][] = Array.from({ length: of }, (_, slot) => [slot, undefined])
  const asked = [...members]
    .filter(({ serves }) => serves)
    .map(async (member) => {
      const answer = await ask(member).catch(() => undefined)
      answers[member.slot] = [member.slot, answer]
    })
  await within(ANSWER_MS, Promise.all(asked))
  return answers.map((entry) => [...entry] as const)
}

/** A process that does not answer keeps what it said last. */
async function readMetrics(member: Member): Promise<void> {
  const reading = member.link.ask('metrics', null).then(
    (families) => void (member.lastMetrics = families),
    () => undefined,
  )
  await within(ANSWER_MS, reading)
}
