// The shapes of the policy data, one schema for each file of policies/data. policies/schemas is generated from these, for
// editors; data-schema.ts checks by them at load.
import Type, { type TSchema } from 'typebox'
import { CAPABILITY_WORD } from '../../core/capability.ts'

const word = CAPABILITY_WORD.slice(1, -1)
const segments = '(/(?!\\.{1,2}(/|$))[A-Za-z0-9._-]+)'
const domain = 'spiffe://[a-z0-9._-]{1,255}'
/** As core/spiffe-id.ts parses it, but for the length. */
const SPIFFE_ID = `^${domain}${segments}+$`
/** A SPIFFE ID, or the beginning of some: whole path segments and a slash. */
const CALLER = `^${domain}(${segments}+|${segments}*/)$`
const CAPABILITY = `^${word}:${word}$`
/** RFC 3339 in UTC. Whether the month has that day is asked later. */
const UTC_TIME = '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-3])(:[0-5]\\d){2}(\\.\\d{1,9})?Z$'

const capabilityRule = 'must be verb:name, two lower-case words'
/** What an editor and the log say of a caller that is none. */
export const ID_RULE = 'must be a SPIFFE ID such as spiffe://crank.local/worker/streaming'
/** What an editor and the log say of a time that is none. */
export const TIME_RULE = 'must be a time in UTC such as 2026-11-24T10:00:00Z'

// `errorMessage` and `patternErrorMessage` are what VS Code shows; the log takes the same words.
const Capability = Type.String({ pattern: CAPABILITY, patternErrorMessage: capabilityRule })
const Text = (description: string) => Type.String({ minLength: 1, description })
const Time = (description: string) => Type.String({ pattern: UTC_TIME, patternErrorMessage: TIME_RULE, description })
const Mode = Type.Enum(['enforce', 'shadow'], { description: 'shadow lets a denied call pass and records it' })

const closed = { additionalProperties: false }
const keyed = <S extends TSchema>(pattern: string, rule: string, value: S, description: string) =>
  Type.Record(Type.String({ pattern }), value, { ...closed, errorMessage: rule, description })

const Manifest = Type.Object(
  {
    worker_id: Text('name under which the worker registers; replicas add .<instance>'),
    required_capabilities: Type.Array(Capability, { description: 'what the worker may call, its own included' }),
    provided_capabilities: Type.Optional(
      Type.Array(Capability, { description: 'what the worker may offer; without it, it may not register' }),
    ),
    owner: Type.Optional(Text('who answers for the worker')),
    deployed_at: Type.Optional(Text('since when it runs')),
  },
  closed,
)

const WorkerManifests = Type.Object(
  { workers: keyed(SPIFFE_ID, ID_RULE, Manifest, 'manifests by SPIFFE ID') },
  { ...closed, title: 'Worker manifests: who may call and offer what' },
)

const Lasting = {
  expires_after: Type.Integer({
    minimum: 1,
    errorMessage: 'must be Unix nanoseconds, a whole number without quotes',
    description: 'when it ends, in Unix nanoseconds',
  }),
  reason: Text('why it is needed'),
  owner: Text('who ends it'),
  created_at: Time('when it was granted; its lifetime is measured from then'),
}

/** An exception for whatever the identity calls. */
export const ExceptionForAll = Type.Object(
  { temporary_allow_all: Type.Literal(true, { description: 'everything is allowed' }), ...Lasting },
  closed,
)

/** An exception for some capabilities. */
export const ExceptionForSome = Type.Object(
  {
    temporary_allow_all: Type.Optional(Type.Literal(false, { errorMessage: 'must be true or false' })),
    capabilities: Type.Array(Capability, { minItems: 1, description: 'what is allowed' }),
    ...Lasting,
  },
  closed,
)

const Exceptions = keyed(
  SPIFFE_ID,
  ID_RULE,
  Type.Union([ExceptionForAll, ExceptionForSome]),
  'Exceptions by SPIFFE ID: what is allowed beside the manifests, and until when',
)

const Enforcement = Type.Object(
  {
    enforcement: Type.Optional(
      Type.Object(
        {
          default: Type.Optional(Mode),
          callers: Type.Optional(
            keyed(CALLER, `${ID_RULE}, or the beginning of some that ends in a slash`, Mode, 'modes by caller'),
          ),
          capabilities: Type.Optional(keyed(CAPABILITY, capabilityRule, Mode, 'modes by capability')),
        },
        closed,
      ),
    ),
    exception_limits: Type.Optional(
      Type.Object(
        {
          max_days: Type.Integer({
            minimum: 1,
            maximum: 366,
            errorMessage: 'must be a whole number from 1 to 366',
            description: 'longest lifetime of an exception',
          }),
        },
        { ...closed, description: 'without it an exception lasts 90 days at most' },
      ),
    ),
  },
  { ...closed, title: 'Enforcement: whose denials stop a call, and how long exceptions may last' },
)

const Blocked = Type.Object(
  {
    blocked: Type.Optional(
      Type.Object(
        {
          identities: Type.Optional(keyed(SPIFFE_ID, ID_RULE, Type.Unknown(), 'blocked callers; the value says why')),
          capabilities: Type.Optional(
            keyed(CAPABILITY, capabilityRule, Type.Unknown(), 'blocked capabilities; the value says why'),
          ),
        },
        closed,
      ),
    ),
  },
  { ...closed, title: 'Blocked identities and capabilities: refused whatever else holds' },
)

/** By the name of the file in policies/data. */
export const DATA_SCHEMAS = {
  'worker_manifests.json': WorkerManifests,
  'exceptions.json': Exceptions,
  'enforcement.json': Enforcement,
  'blocked.json': Blocked,
} as const

export type DataFileName = keyof typeof DATA_SCHEMAS

/**
 * What a file holds that says nothing, and what that means. All four must exist: a file that is not there may as well have
 * been lost, and its loss must not be taken for an order.
 */
export const EMPTY_DATA: Readonly<Record<DataFileName, { readonly text: string; readonly meaning: string }>> = {
  'worker_manifests.json': { text: '{"workers":{}}', meaning: 'no worker may call or offer anything' },
  'exceptions.json': { text: '{}', meaning: 'there are no exceptions' },
  'enforcement.json': {
    text: '{"enforcement":{"default":"enforce","callers":{},"capabilities":{}}}',
    meaning: 'every denial is to be enforced',
  },
  'blocked.json': { text: '{"blocked":{"identities":{},"capabilities":{}}}', meaning: 'nobody is to be blocked' },
}

/** The names of the files that have a schema. */
export const DATA_FILES = Object.keys(DATA_SCHEMAS) as readonly DataFileName[]

/** Whether a file of policies/data has a schema. */
export function isDataFile(name: string): name is DataFileName {
  return Object.hasOwn(DATA_SCHEMAS, name)
}

/** The file that must give a member of `data`; undefined for a member that the policy does not know. */
export function homeOf(member: string): DataFileName | undefined {
  if (member === 'exceptions') return 'exceptions.json'
  return (['worker_manifests.json', 'enforcement.json', 'blocked.json'] as const).find((name) =>
    Object.hasOwn(DATA_SCHEMAS[name].properties, member),
  )
}
