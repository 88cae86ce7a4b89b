// Where a fault is in the policy data.

/** `path`: position in the value, such as `workers["spiffe://…"].owner`; empty for the whole value. */
export type PlacedFault = { readonly path: string; readonly reason: string }

/** The path of a member or an item below `path`. */
export function placeOf(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`
  if (!/^[a-z_]\w*$/i.test(key)) return `${path}[${JSON.stringify(key)}]`
  return path === '' ? key : `${path}.${key}`
}
