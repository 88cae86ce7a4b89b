// The schemas of the policy data, one for each file of policies/data. policies/schemas is generated from them, for editors;
// data-schema.ts uses them to check files at load.
import Type, { type TSchema } from 'typebox'
import { CAPABILITY_WORD } from '../../core/capability.ts'
import { PRIORITIES } from '../../core/decision.ts'
import { ID_RULE, TIME_RULE, UTC_TIME } from './exception-entries.ts'

const word = CAPABILITY_WORD.slice(1, -1)
const segments = '(/(?!\\.{1,2}(/|$))[A-Za-z0-9._-]+)'
const domain = 'spiffe://[a-z0-9._-]{1,255}'
/** The same rules as in core/spiffe-id.ts, except for the length. */
const SPIFFE_ID = `^${domain}${segments}+$`
/** A SPIFFE ID, or a prefix of SPIFFE IDs: whole path segments and a slash. */
const CALLER = `^${domain}(${segments}+|${segments}*/)$`
const CAPABILITY = `^${word}:${word}$`

const capabilityRule = 'must be verb:name, two lower-case words'

// VS Code shows `errorMessage` and `patternErrorMessage`; the log uses the same texts.
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
    required_capabilities: Type.Array(Capability, {
      description: 'capabilities that the worker may call, including its own',
    }),
    provided_capabilities: Type.Optional(
      Type.Array(Capability, {
        description: 'capabilities that the worker may provide; without this list it may not register',
      }),
    ),
    owner: Type.Optional(Text('who is responsible for the worker')),
    deployed_at: Type.Optional(Text('when the worker was deployed')),
  },
  closed,
)

const WorkerManifests = Type.Object(
  { workers: keyed(SPIFFE_ID, ID_RULE, Manifest, 'manifests by SPIFFE ID') },
  { ...closed, title: 'Worker manifests: which capabilities a worker may call and provide' },
)

const Lasting = {
  expires_after: Type.Integer({
    minimum: 1,
    errorMessage: 'must be Unix nanoseconds, a whole number without quotes',
    description: 'when the exception ends, in Unix nanoseconds',
  }),
  reason: Text('why the exception is needed'),
  owner: Text('who is responsible for ending it'),
  created_at: Time('when it was granted; its lifetime is measured from this time'),
}

/** An exception for every capability that the identity calls. */
export const ExceptionForAll = Type.Object(
  { temporary_allow_all: Type.Literal(true, { description: 'everything is allowed' }), ...Lasting },
  closed,
)

/** An exception for some capabilities. */
export const ExceptionForSome = Type.Object(
  {
    temporary_allow_all: Type.Optional(Type.Literal(false, { errorMessage: 'must be true or false' })),
    capabilities: Type.Array(Capability, { minItems: 1, description: 'the allowed capabilities' }),
    ...Lasting,
  },
  closed,
)

const Exceptions = keyed(
  SPIFFE_ID,
  ID_RULE,
  Type.Union([ExceptionForAll, ExceptionForSome]),
  'Exceptions by SPIFFE ID: what is allowed in addition to the manifests, and until when',
)

const Enforcement = Type.Object(
  {
    enforcement: Type.Optional(
      Type.Object(
        {
          default: Type.Optional(Mode),
          callers: Type.Optional(
            keyed(CALLER, `${ID_RULE}, or a prefix that ends in a slash`, Mode, 'modes by caller'),
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
        { ...closed, description: 'default: 90 days at most' },
      ),
    ),
  },
  {
    ...closed,
    title: 'Enforcement: for which callers and capabilities a denial stops a call, and how long exceptions may last',
  },
)

/** How a certificate is named: a pattern, and the sentence about it. */
export const CERTIFICATE_NAME = '^(sha256:[0-9a-f]{64}|[0-9a-f]{2,128}:[0-9a-f]{1,64})$'
export const certificateRule =
  'must be sha256:<64 digits> or <issuer key id>:<serial number>, in lower-case hex; crank cert inspect prints them'

const Blocked = Type.Object(
  {
    blocked: Type.Optional(
      Type.Object(
        {
          identities: Type.Optional(
            keyed(SPIFFE_ID, ID_RULE, Type.Unknown(), 'blocked callers; the value is the reason'),
          ),
          capabilities: Type.Optional(
            keyed(CAPABILITY, capabilityRule, Type.Unknown(), 'blocked capabilities; the value is the reason'),
          ),
          certificates: Type.Optional(
            keyed(CERTIFICATE_NAME, certificateRule, Type.Unknown(), 'blocked certificates; the value is the reason'),
          ),
        },
        closed,
      ),
    ),
  },
  { ...closed, title: 'Blocked identities, capabilities and certificates: always refused' },
)

const LimitMembers = {
  rate: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 1_000_000,
      errorMessage: 'must be a number above 0, at most 1000000',
      description: 'calls per second; 0.5 is one call in two seconds',
    }),
  ),
  burst: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      errorMessage: 'must be a whole number from 1 to 1000000',
      description: 'calls that may come at once after a pause; default: those of one second',
    }),
  ),
  concurrent: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      errorMessage: 'must be a whole number from 1 to 1000000',
      description: 'calls in flight at a time',
    }),
  ),
  body_bytes: Type.Optional(
    Type.Integer({
      minimum: 1,
      errorMessage: 'must be a whole number of bytes, at least 1',
      description: 'bytes of request bodies in flight at a time',
    }),
  ),
}

/** What limits a set of calls. */
export const LimitShape = Type.Object(LimitMembers, closed)

const limitsByCapability = (description: string) => keyed(CAPABILITY, capabilityRule, LimitShape, description)

/** What limits the calls of one identity. */
export const CallerLimitShape = Type.Object(
  {
    ...LimitMembers,
    max_priority: Type.Optional(
      Type.Enum([...PRIORITIES], { description: 'a call that asks for more gets this priority; default: normal' }),
    ),
    capabilities: Type.Optional(limitsByCapability('limits of this identity for one capability')),
  },
  closed,
)

/** The content of limits.json. */
export const LimitsShape = Type.Object(
  {
    limits: Type.Optional(
      Type.Object(
        {
          default: Type.Optional(CallerLimitShape),
          identities: Type.Optional(
            keyed(
              CALLER,
              `${ID_RULE}, or a prefix that ends in a slash`,
              CallerLimitShape,
              'limits by caller; the most specific entry counts, its missing members come from the default',
            ),
          ),
          capabilities: Type.Optional(limitsByCapability('limits by capability, for all callers together')),
        },
        closed,
      ),
    ),
  },
  { ...closed, title: 'Limits: how much each caller may ask for, and how urgently' },
)

/** The content of privacy.json. */
export const PrivacyShape = Type.Object(
  {
    privacy: Type.Optional(
      Type.Object(
        {
          mask_reason_messages: Type.Optional(
            Type.Boolean({ description: 'audit records have the codes of reasons, and "masked" for their sentences' }),
          ),
        },
        closed,
      ),
    ),
  },
  { ...closed, title: 'Privacy: what audit records leave out' },
)

/** By file name in policies/data. */
export const DATA_SCHEMAS = {
  'worker_manifests.json': WorkerManifests,
  'exceptions.json': Exceptions,
  'enforcement.json': Enforcement,
  'blocked.json': Blocked,
  'limits.json': LimitsShape,
  'privacy.json': PrivacyShape,
} as const

export type DataFileName = keyof typeof DATA_SCHEMAS

/** Files that need not exist; once such a file is in force, its removal is a fault as for any other (adoption.ts). */
type OptionalFileName = 'limits.json' | 'privacy.json'
type RequiredFileName = Exclude<DataFileName, OptionalFileName>

/**
 * The empty content of each required file, and what it means. They must exist: a missing file may have been lost, and its
 * loss must not be taken for an instruction.
 */
export const EMPTY_DATA: Readonly<Record<RequiredFileName, { readonly text: string; readonly meaning: string }>> = {
  'worker_manifests.json': { text: '{"workers":{}}', meaning: 'no worker may call or provide anything' },
  'exceptions.json': { text: '{}', meaning: 'there are no exceptions' },
  'enforcement.json': {
    text: '{"enforcement":{"default":"enforce","callers":{},"capabilities":{}}}',
    meaning: 'every denial must be enforced',
  },
  'blocked.json': { text: '{"blocked":{"identities":{},"capabilities":{}}}', meaning: 'nothing is blocked' },
}

/** The names of the files with a schema. */
export const DATA_FILES = Object.keys(DATA_SCHEMAS) as readonly DataFileName[]
/** The names of the files that must exist. */
export const REQUIRED_FILES = Object.keys(EMPTY_DATA) as readonly RequiredFileName[]

/** Whether a file of policies/data has a schema. */
export function isDataFile(name: string): name is DataFileName {
  return Object.hasOwn(DATA_SCHEMAS, name)
}

/** The file to which a member of `data` belongs; undefined for a member that the policy does not use. */
export function homeOf(member: string): DataFileName | undefined {
  if (member === 'exceptions') return 'exceptions.json'
  const files = ['worker_manifests.json', 'enforcement.json', 'blocked.json', 'limits.json', 'privacy.json'] as const
  return files.find((name) => Object.hasOwn(DATA_SCHEMAS[name].properties, member))
}
