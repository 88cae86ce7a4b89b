// On the path of every call. A span that is cheap to make: it notes what is said about it, and no more. It is readable as a span
// of the SDK, so that any exporter can send it.
import { diag, SpanStatusCode } from '@opentelemetry/api'
import type {
  Attributes,
  Exception,
  HrTime,
  Link,
  Span,
  SpanContext,
  SpanKind,
  SpanStatus,
  TimeInput,
} from '@opentelemetry/api'
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace'
import { TIME } from './clocked-tracer.ts'
import { attributesOf, putAttribute, putAttributes, type AttributeBounds, type SpanLimits } from './span-attributes.ts'
import type { SpanTime } from './span-clock.ts'
import { exceptionAttributes, hrTime, isTime, msOf, noExtras, noteEvent, noteLink } from './span-events.ts'
import type { SpanExtras } from './span-events.ts'

/** What all spans of a tracer share. */
export type SpanHome = Pick<ReadableSpan, 'resource' | 'instrumentationScope'> & {
  readonly limits: SpanLimits
  readonly bounds: AttributeBounds
  readonly onEnd: (span: TupleSpan) => void
}

type SpanStart = {
  readonly name: string
  readonly kind: SpanKind
  readonly ids: SpanContext
  readonly parent: SpanContext | undefined
  readonly time: SpanTime
  readonly attributes: Attributes | undefined
}

const NONE: never[] = []
const UNSET = { code: SpanStatusCode.UNSET }

/** A class, so that the methods exist once and not in each of the four spans of a call. */
export class TupleSpan implements Span, ReadableSpan {
  readonly kind: SpanKind
  readonly parentSpanContext?: SpanContext
  readonly startMs: number
  endMs = Number.NaN
  readonly [TIME]: SpanTime
  /** The attributes: name, value, name, value … */
  readonly pairs: unknown[] = []
  name: string
  status: SpanStatus = UNSET
  droppedAttributesCount: number
  readonly #home: SpanHome
  readonly #ids: SpanContext
  #extras: SpanExtras | undefined

  constructor({ name, kind, ids, parent, time, attributes }: SpanStart, home: SpanHome) {
    this.name = name
    this.kind = kind
    if (parent !== undefined) this.parentSpanContext = parent
    this.startMs = time()
    this[TIME] = time
    this.#home = home
    this.#ids = ids
    this.droppedAttributesCount = putAttributes(this.pairs, attributes, home.bounds)
  }

  spanContext(): SpanContext {
    return this.#ids
  }

  isRecording(): boolean {
    return Number.isNaN(this.endMs)
  }

  setAttribute(name: string, value: unknown): this {
    if (!this.#isOver()) this.#put(name, value)
    return this
  }

  setAttributes(attributes: Attributes): this {
    if (this.#isOver()) return this
    for (const name in attributes) this.#put(name, attributes[name])
    return this
  }

  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    if (this.#isOver()) return this
    const at = time ?? (isTime(attributesOrTime) ? attributesOrTime : undefined)
    const attributes = isTime(attributesOrTime) ? undefined : attributesOrTime
    const event = { name, time: hrTime(at === undefined ? this[TIME]() : msOf(at)), ...(attributes && { attributes }) }
    noteEvent((this.#extras ??= noExtras()), event, this.#home.limits)
    return this
  }

  addLink(link: Link): this {
    if (!this.#isOver()) noteLink((this.#extras ??= noExtras()), link, this.#home.limits)
    return this
  }

  addLinks(links: Link[]): this {
    for (const link of links) this.addLink(link)
    return this
  }

  setStatus({ code, message }: SpanStatus): this {
    if (this.#isOver() || code === SpanStatusCode.UNSET || this.status.code === SpanStatusCode.OK) return this
    this.status = code === SpanStatusCode.ERROR && typeof message === 'string' ? { code, message } : { code }
    return this
  }

  updateName(name: string): this {
    if (!this.#isOver()) this.name = name
    return this
  }

  recordException(exception: Exception, time?: TimeInput): void {
    const attributes = exceptionAttributes(exception)
    if (attributes === undefined) diag.warn('an exception without a name and a message is not recorded')
    else this.addEvent('exception', attributes, time)
  }

  end(time?: TimeInput): void {
    if (this.#isOver()) return
    this.endMs = Math.max(this.startMs, time === undefined ? this[TIME]() : msOf(time))
    this.#home.onEnd(this)
  }

  // The rest is what an exporter reads.

  get attributes(): Attributes {
    return attributesOf(this.pairs)
  }
  get startTime(): HrTime {
    return hrTime(this.startMs)
  }
  get endTime(): HrTime {
    return hrTime(this.endMs)
  }
  get duration(): HrTime {
    return hrTime(this.endMs - this.startMs)
  }
  get ended(): boolean {
    return !this.isRecording()
  }
  get events(): TimedEvent[] {
    return this.#extras?.events ?? NONE
  }
  get links(): Link[] {
    return this.#extras?.links ?? NONE
  }
  get droppedEventsCount(): number {
    return this.#extras?.droppedEvents ?? 0
  }
  get droppedLinksCount(): number {
    return this.#extras?.droppedLinks ?? 0
  }
  get resource(): ReadableSpan['resource'] {
    return this.#home.resource
  }
  get instrumentationScope(): ReadableSpan['instrumentationScope'] {
    return this.#home.instrumentationScope
  }

  #put(name: string, value: unknown): void {
    if (putAttribute(this.pairs, name, value, this.#home.bounds) === 'over') this.droppedAttributesCount += 1
  }

  #isOver(): boolean {
    if (this.isRecording()) return false
    diag.warn(`a span was used after its end: ${this.name}`)
    return true
  }
}
