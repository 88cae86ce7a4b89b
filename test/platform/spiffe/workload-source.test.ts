// The X.509 source over a real gRPC socket: the faults of a Workload API, and what stays in use meanwhile.
import { expect, test } from 'vitest'
import { parseTrustDomain } from '../../../src/core/spiffe-id.ts'
import { parseWorkloadEndpoint } from '../../../src/platform/spiffe/endpoint.ts'
import { watchWorkloadApi } from '../../../src/platform/spiffe/workload-source.ts'
import { createLogger } from '../../../src/platform/logger.ts'
import { createTestCa } from '../../fixtures/pki/ca.ts'
import { startFakeWorkloadApi } from '../../fixtures/workload-api/fake-workload-api.ts'
import { responseFor } from '../../fixtures/workload-api/svids.ts'

const ID = 'spiffe://td1.test/worker/a'
const log = createLogger({ level: 'silent', service: 'test' })

test('an SVID is taken from the stream, and replaced as one by the next message', async () => {
  const ca = await createTestCa('td1.test')
  await using api = await startFakeWorkloadApi({ served: await responseFor(ca, ID) })
  const source = await watchWorkloadApi(parseWorkloadEndpoint(api.endpoint), {
    now: Date.now,
    log,
    trustDomain: parseTrustDomain('td1.test'),
    keepsIdentity: true,
  })
  const first = source.current()
  expect(first).toMatchObject({ spiffeId: ID, generation: 1 })
  expect([...first.bundles.keys()]).toEqual(['td1.test'])
  api.serve(await responseFor(ca, ID))
  await expect.poll(() => source.current().generation).toBe(2)
  expect(source.current().certPem).not.toBe(first.certPem)
  source.close()
  await expect.poll(() => api.open()).toBe(0)
  expect(api.calls).toMatchObject([{ header: ['true'] }])
})
