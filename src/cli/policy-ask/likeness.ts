// Suggests names that were probably meant.
import { editDistance } from '../../core/edit-distance.ts'

export type Likeness = { readonly name: string; readonly how: string }

const OFF = ['', 'one letter off', 'two letters off']

/** The entry of `names` that differs from `name` by one or two letters; swapped neighbours count as one. */
export function alike(
  name: string,
  names: Iterable<string>,
  longest = Math.floor(name.length / 4),
): Likeness | undefined {
  const most = Math.min(OFF.length - 1, longest)
  const near = [...new Set(names)]
    .filter((other) => other !== name && Math.abs(other.length - name.length) <= most)
    .map((other) => ({ name: other, distance: editDistance(name, other) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
  const [first] = near
  return first && { name: first.name, how: OFF[first.distance] ?? '' }
}

/** The end of a sentence about an unknown name; '' when none of `names` is similar. */
export function didYouMean(name: string, names: Iterable<string>): string {
  const near = alike(name, names)
  return near === undefined ? '' : `; did you mean ${near.name}?`
}

/** The identity that was probably meant: another trust domain, case or folder, or a typing error in the name. */
export function alikeIdentity(id: string, ids: readonly string[]): Likeness | undefined {
  const find = (how: string, matches: (other: string) => boolean): Likeness | undefined => {
    const name = ids.find((other) => other !== id && matches(other))
    return name === undefined ? undefined : { name, how }
  }
  return (
    find('upper and lower case differ', (other) => other.toLowerCase() === id.toLowerCase()) ??
    find('same path, other trust domain', (other) => pathOf(other) === pathOf(id)) ??
    alike(id, ids, Math.floor(lastSegment(id).length / 3)) ??
    find('same name, other path', (other) => lastSegment(other) === lastSegment(id))
  )
}

function pathOf(id: string): string {
  return id.split('/').slice(3).join('/')
}

function lastSegment(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1)
}
