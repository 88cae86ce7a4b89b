// The meaning of a change from one ruling to another, and the order of changes.
import type { Decided, Ruling } from '../../core/ruling.ts'

/** `other_reasons`: the same ruling for other reasons; not a change of a decision. */
export type Kind = { readonly from: Decided; readonly to: Ruling }
export type Effect = 'wider' | 'narrower' | 'neither' | 'other_reasons'
export type FailOn = 'any' | 'allow' | 'none'

// How much access a ruling gives: shadow mode lets a denied call pass, but only temporarily.
const WIDTH: Readonly<Record<Ruling, number>> = { error: 0, deny: 0, unevaluated: 1, would_deny: 1, allow: 2 }

export function effectOf({ from, to }: Kind): Effect {
  if (from === to) return 'other_reasons'
  const step = WIDTH[to] - WIDTH[from]
  return step === 0 ? 'neither' : step > 0 ? 'wider' : 'narrower'
}

const ORDER: readonly Effect[] = ['wider', 'narrower', 'neither', 'other_reasons']

/** DENY -> ALLOW first, then other changes that allow more, then those that remove most. */
export function compareKinds(one: Kind, other: Kind): number {
  const byEffect = ORDER.indexOf(effectOf(one)) - ORDER.indexOf(effectOf(other))
  if (byEffect !== 0) return byEffect
  const byStep = stepOf(other) - stepOf(one)
  return byStep !== 0 ? byStep : titleOf(one) < titleOf(other) ? -1 : 1
}

/** `DENY -> ALLOW` */
export function titleOf({ from, to }: Kind, arrow = '->'): string {
  return from === to ? `${from.toUpperCase()} for other reasons` : `${from.toUpperCase()} ${arrow} ${to.toUpperCase()}`
}

/** Whether a change of this kind makes the command fail. */
export function isFailure(kind: Kind, failOn: FailOn): boolean {
  const effect = effectOf(kind)
  switch (failOn) {
    case 'any':
      return effect !== 'other_reasons'
    case 'allow':
      return effect === 'wider'
    case 'none':
      return false
  }
}

function stepOf({ from, to }: Kind): number {
  return Math.abs(WIDTH[to] - WIDTH[from])
}
