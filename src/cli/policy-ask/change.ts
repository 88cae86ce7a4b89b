// What would change an answer: the file, the position in it, and the command that does it.
import { join } from 'node:path'
import type { DataFileName } from '../../policy/data/data-shapes.ts'
import { placeOf } from '../../policy/data/fault-place.ts'

/** `file`: in the folder `data` of the policies. */
export type Change = {
  readonly what: string
  readonly file: DataFileName | null
  readonly path: string | null
  readonly command: string | null
}

/** `worker`: whether it has a manifest. */
export function declare(spiffeId: string, capability: string, worker: 'known' | 'new'): Change {
  const manifest = placeOf('workers', spiffeId)
  return {
    what:
      worker === 'known'
        ? `declare ${capability} in the worker's code, then in its manifest`
        : `give the worker a manifest that requires ${capability}`,
    file: 'worker_manifests.json',
    path: worker === 'known' ? `${manifest}.required_capabilities` : manifest,
    command: worker === 'known' ? 'crank manifest generate' : addCommand(spiffeId, capability),
  }
}

/** The same command as in the reason of the denial, in policies/common.rego. */
function addCommand(spiffeId: string, capability: string): string {
  const name = spiffeId.slice(spiffeId.lastIndexOf('/') + 1)
  return `crank manifest add ${name} --spiffe-id ${shellWord(spiffeId)} --requires ${capability}`
}

/** The identity is given in full: a worker's name alone may mean another trust domain. */
export function grant(spiffeId: string, capability: string): Change {
  return {
    what: 'let it pass for a limited time',
    file: 'exceptions.json',
    path: placeOf('', spiffeId),
    command: `crank exception grant --who ${spiffeId} --cap ${capability} --for 14d --reason <why> --owner <who>`,
  }
}

export function takeOut(section: 'identities' | 'capabilities', name: string): Change {
  return {
    what: 'remove it from the block list, once the reason no longer applies',
    file: 'blocked.json',
    path: placeOf(`blocked.${section}`, name),
    command: null,
  }
}

/** The commands for the given policy folder: each must change the files that the answer came from. */
export function inFolder(changes: readonly Change[], policyDir: string | undefined): Change[] {
  if (policyDir === undefined) return [...changes]
  return changes.map((change) => {
    if (change.command === null) return change
    const manifest = join(policyDir, 'data', 'worker_manifests.json')
    const place = change.command.startsWith('crank manifest')
      ? `--out ${shellWord(manifest)}`
      : `--policy ${shellWord(policyDir)}`
    return { ...change, command: `${change.command} ${place}` }
  })
}

/** A text as one word of a shell. */
export function shellWord(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** A change outside of the policy data. */
export function namedInstead(what: string): Change {
  return { what, file: null, path: null, command: null }
}

/** Changes that would allow a refused registration, by reason code. */
export function registrationChanges(spiffeId: string, codes: readonly string[]): Change[] {
  const manifest = placeOf('workers', spiffeId)
  const edit = (what: string, path: string): Change => {
    return { what, file: 'worker_manifests.json', path, command: 'crank manifest generate' }
  }
  const byCode: Readonly<Record<string, Change>> = {
    worker_unknown: edit('give the worker a manifest', manifest),
    worker_id_mismatch: edit('register under the worker_id of the manifest, or change it', `${manifest}.worker_id`),
    provided_capabilities_missing: edit('list what the worker may offer', `${manifest}.provided_capabilities`),
    capability_not_provided: edit('add what the worker offers', `${manifest}.provided_capabilities`),
    identity_blocked: takeOut('identities', spiffeId),
  }
  return codes
    .flatMap((code) => (Object.hasOwn(byCode, code) ? [byCode[code]] : []))
    .filter((change) => change !== undefined)
}
