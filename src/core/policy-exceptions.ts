// The schemas of `GET /policy/exceptions` on the admin listener.
import Type, { type Static } from 'typebox'

const Time = Type.String()
const ExceptionReply = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    spiffe_id: Type.String(),
    capability: Type.Union([Type.String(), Type.Null()]),
    state: Type.Union([Type.Literal('live'), Type.Literal('expired')]),
    owner: Type.String(),
    reason: Type.String(),
    created_at: Time,
    expires_at: Time,
    expires_in_seconds: Type.Number(),
    uses: Type.Integer(),
    last_used_at: Type.Union([Time, Type.Null()]),
  },
  { additionalProperties: false },
)
export type ExceptionReply = Static<typeof ExceptionReply>

const Fault = Type.Object(
  { file: Type.String(), path: Type.String(), reason: Type.String() },
  { additionalProperties: false },
)
/** `counted_since`: start of this process, which counts the uses. `capability` null: every capability. */
export const ExceptionsReply = Type.Object(
  { counted_since: Time, exceptions: Type.Array(ExceptionReply), faults: Type.Array(Fault) },
  { additionalProperties: false },
)
export type ExceptionsReply = Static<typeof ExceptionsReply>
