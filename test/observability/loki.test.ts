// observability/loki.yaml as the container would read it. No Loki runs here: it is AGPL, and no part of the tool chain.
import { describe, expect, test } from 'vitest'
import { commandOf, mountsOf, service, together } from '../docker/compose.ts'
import { readText, readYamlWithDefaults } from './files.ts'

type Loki = {
  server: { http_listen_address: string; http_listen_port: number; grpc_listen_address: string }
  common: { path_prefix: string; storage: { filesystem: Record<string, string> } }
  schema_config: { configs: { store: string; schema: string; object_store: string }[] }
  limits_config: Record<string, unknown>
  compactor: { working_directory: string; retention_enabled: boolean; delete_request_store: string }
  analytics: { reporting_enabled: boolean }
}
const FILE = 'observability/loki.yaml'
const loki = await readYamlWithDefaults<Loki>(FILE)
const container = service('loki', together)

test('has variables for addresses and the folder only, each with the value of the container', async () => {
  const variables = [...(await readText(FILE)).replaceAll(/#.*/g, '').matchAll(/\$\{(\w+):-[^}]+\}|\$/g)]
  const names = [...new Set(variables.map(([, name]) => name))].sort()
  expect(names).toEqual(['LOKI_DIR', 'LOKI_GRPC_PORT', 'LOKI_HTTP_ADDRESS', 'LOKI_HTTP_PORT'])
  expect(commandOf(container.command)).toEqual(['-config.file=/etc/loki/loki.yaml', '-config.expand-env=true'])
  expect(container.environment).toEqual({})
})

test('listens for the stack, and for itself on loopback', () => {
  const { http_listen_address, http_listen_port: port, grpc_listen_address } = loki.server
  expect([http_listen_address, grpc_listen_address]).toEqual(['0.0.0.0', '127.0.0.1'])
  expect(container.ports).toEqual([`127.0.0.1:${port}:${port}`])
})

test('keeps everything on the volume, whose folder the image has', () => {
  const folders = [...Object.values(loki.common.storage.filesystem), loki.compactor.working_directory]
  for (const folder of folders) expect(folder).toMatch(/^\/loki\//)
  expect(loki.common.path_prefix).toBe('/loki')
  const volume = { type: 'volume', source: 'loki-data', target: '/loki', readOnly: false }
  expect(mountsOf(container)).toContainEqual(volume)
})

describe('what the log lines need', () => {
  test('is a schema that holds structured metadata', () => {
    expect(loki.schema_config.configs).toMatchObject([{ store: 'tsdb', schema: 'v13', object_store: 'filesystem' }])
    expect(loki.limits_config).toMatchObject({ allow_structured_metadata: true })
  })

  test('is that old ones go, and that those are not taken again', () => {
    const { retention_period, reject_old_samples, reject_old_samples_max_age } = loki.limits_config
    expect(loki.compactor).toMatchObject({ retention_enabled: true, delete_request_store: 'filesystem' })
    expect({ reject_old_samples, reject_old_samples_max_age }).toEqual({
      reject_old_samples: true,
      reject_old_samples_max_age: retention_period,
    })
  })
})

test('tells nobody that it is used', () => {
  expect(loki.analytics).toEqual({ reporting_enabled: false })
})
