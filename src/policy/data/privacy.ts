// What audit records leave out: `data.privacy`. The controller itself applies it; no engine is asked.
import type { Static } from 'typebox'
import { PrivacyShape } from './data-shapes.ts'
import { schemaFaults } from './schema-faults.ts'

/** `masksReasons`: records have the codes of the policy's reasons without their sentences. */
export type Privacy = { readonly masksReasons: boolean }

/** Reads `data.privacy`; without it nothing is left out. @throws {Error} for anything that is invalid */
export function parsePrivacy(value: unknown): Privacy {
  const data: unknown = value === undefined ? {} : { privacy: value }
  const [fault] = schemaFaults(PrivacyShape, data)
  if (fault !== undefined) throw new Error(`${fault.path} ${fault.reason}`)
  const { privacy } = data as Static<typeof PrivacyShape>
  return { masksReasons: privacy?.mask_reason_messages ?? false }
}
