// The configuration files of the stack as data.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { ROOT } from '../docker/compose.ts'

/** A file of the repository. */
export function readText(path: string): Promise<string> {
  return readFile(join(ROOT, path), 'utf8')
}

/** A YAML file of the repository; a duplicate key is an error. */
export async function readYaml<T>(path: string): Promise<T> {
  return parse(await readText(path)) as T
}

/** A text with the defaults of its `${NAME:-default}` and `${env:NAME:-default}` in their places. */
export function withDefaults(text: string): string {
  return text.replaceAll(/\$\{(?:env:)?\w+:-([^}]*)\}/g, '$1')
}

/** A YAML file whose variables have their defaults. */
export async function readYamlWithDefaults<T>(path: string): Promise<T> {
  return parse(withDefaults(await readText(path))) as T
}

/** Every key of a tree as a path, lists left out: `storage.trace.backend`. */
export function keyPaths(tree: unknown, at = ''): string[] {
  if (Array.isArray(tree)) return tree.flatMap((entry) => keyPaths(entry, at))
  if (typeof tree !== 'object' || tree === null) return []
  return Object.entries(tree).flatMap(([key, value]) => {
    const path = at === '' ? key : `${at}.${key}`
    return [path, ...keyPaths(value, path)]
  })
}
