// Refused requests that are cheap to send: the work that a caller without rights can cause.
import type { Who } from './measure-refusals.ts'

export type Shape = {
  readonly name: string
  readonly who: Who
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Undefined: no body. */
  readonly body?: string
  /** Each request uses a new connection, since the controller closes it. */
  readonly fresh?: true
}

/** A denied call, the reference for the others. */
export const DENIED: Shape = {
  name: 'denied call',
  who: 'rightless',
  method: 'POST',
  path: '/route',
  body: '{"verb":"convert","capability":"document_to_pdf","payload":{"message":"hello"}}',
}
export const DENIED_FRESH: Shape = { ...DENIED, name: 'denied call, own connection', fresh: true }

/** Just below the size limit of a body. */
const ROOM = 1_048_576 - 200

const call = (payload: string): string => `{"verb":"test","capability":"test","payload":${payload}}`
const repeated = (text: string): string => text.repeat(Math.floor(ROOM / text.length))
const list = (item: string): string => call(`[${repeated(`${item},`)}${item}]`)

function members(member: (n: number) => string): string {
  const parts: string[] = []
  for (let n = 0, length = 0; length < ROOM; n++) {
    const part = member(n)
    parts.push(part)
    length += part.length + 1
  }
  return parts.slice(0, -1).join(',')
}

const distinct = members((n) => `"k${n}":1`)

/** Bodies that the controller may parse before it refuses the caller for missing rights, or the body itself. */
const BODIES: Readonly<Record<string, readonly [path: string, body: string]>> = {
  'members at the top': ['/route', `{"verb":"test",${distinct}}`],
  'one repeated name': ['/route', `{${members(() => '"verb":1')}}`],
  'a name of a megabyte': ['/route', `{"${'x'.repeat(ROOM)}":1}`],
  'members in the payload': ['/route', call(`{${distinct}}`)],
  'escaped members': ['/route', call(`{${members((n) => `"\\u005f\\u005f${n}":1`)}}`)],
  'names like constructor': ['/route', list('{"constructor":1}')],
  'nested constructors': ['/route', list(`${'{"constructor":'.repeat(29)}1${'}'.repeat(29)}`)],
  'nested to the limit': ['/route', list('['.repeat(29) + ']'.repeat(29))],
  'nested beyond it': ['/route', call('['.repeat(ROOM))],
  'empty arrays': ['/route', list('[]')],
  'empty strings': ['/route', list('""')],
  'strings of 50 bytes': ['/route', list(`"${'x'.repeat(50)}"`)],
  'one string': ['/route', call(`"${'x'.repeat(ROOM)}"`)],
  'escaped quotes': ['/route', call(`"${repeated('\\"')}"`)],
  numbers: ['/route', list('1')],
  'one number': ['/route', call('1'.repeat(ROOM))],
  'space in front': ['/route', `${' '.repeat(ROOM)}${call('1')}`],
  'space within': ['/route', call(`1${' '.repeat(ROOM)}`)],
  'wrong at once': ['/route', call(`x${'1'.repeat(ROOM)}`)],
  'wrong at the end': ['/route', list('1').slice(0, -1)],
  'no object': ['/route', `[${repeated('1,')}1]`],
  'capabilities without number': [
    '/register',
    `{"worker_id":"a","worker_url":"b","capabilities":[${repeated('{},')}{}]}`,
  ],
  'a capability of unknown members': ['/register', `{"worker_id":"a","worker_url":"b","capabilities":[{${distinct}}]}`],
  'a schema of types': [
    '/register',
    `{"worker_id":"a","worker_url":"b","capabilities":[{"verb":"a","name":"b","version":"1.0.0","input_schema":{"type":[${repeated('"a",')}1]}}]}`,
  ],
  'an unknown member in a heartbeat': ['/heartbeat', `{"worker_id":"a","x":"${'x'.repeat(ROOM)}"}`],
}

const post = { who: 'rightless', method: 'POST' } as const
const get = { who: 'rightless', method: 'GET' } as const

export const WITHOUT_BODY: readonly Shape[] = [
  { ...get, name: 'no such route', path: '/nowhere' },
  { ...get, name: 'an unreadable path', path: '/%zz' },
  { ...get, name: 'a long path', path: `/${'x'.repeat(8000)}` },
  { ...get, name: 'no body for a call', method: 'POST', path: '/route' },
  { ...get, name: 'an invalid word', method: 'POST', path: '/route/Test/test' },
  { ...get, who: 'blocked', name: 'blocked, catalogue', path: '/workers' },
  { ...get, who: 'blocked', name: 'blocked, call', method: 'POST', path: '/route/test/test' },
  {
    ...post,
    who: 'blocked',
    name: 'blocked, 1 MB unread',
    path: '/route',
    body: call(`"${'x'.repeat(ROOM)}"`),
    fresh: true,
  },
  { ...get, who: 'nobody', name: 'no certificate', path: '/workers', fresh: true },
]

export const WITH_BODY: readonly Shape[] = Object.entries(BODIES).map(([name, [path, body]]) => ({
  ...post,
  name,
  path,
  body,
}))
