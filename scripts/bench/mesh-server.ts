// A worker of the bench: a bare mTLS server that verifies its caller, so that what is in front of it dominates the measurement.
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Static } from 'typebox'
import { reportReady } from './child.ts'
import { readIdentity, type FileEnv } from './identity.ts'

/** Serves on a free port of `host`, and reports it to the bench. */
export async function serveInMesh(
  config: Static<typeof FileEnv>,
  answer: RequestListener,
  host = '127.0.0.1',
): Promise<void> {
  const server = createServer(
    {
      ...readIdentity(config),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      // Idle rows keep their connections: opening one again costs a millisecond of CPU.
      keepAliveTimeout: 600_000,
    },
    answer,
  )
  server.listen(0, host)
  await once(server, 'listening')
  reportReady((server.address() as AddressInfo).port)
}
