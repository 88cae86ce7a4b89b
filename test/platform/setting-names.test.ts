import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ControllerEnv } from '../../src/controller/config.ts'
import { kubernetesHint, oddNames, SETTING_NAMES } from '../../src/platform/setting-names.ts'
import { WorkerSettings } from '../../src/worker/config.ts'

const ROOT = join(import.meta.dirname, '..', '..')

test('every variable that a program or script names is in the registry', async () => {
  const named = new Set([...Object.keys(ControllerEnv.properties), ...Object.keys(WorkerSettings.properties)])
  for (const folder of ['src', 'scripts', 'bin']) {
    for (const entry of await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(ts|js|sh)$/.test(entry.name)) continue
      const text = await readFile(join(entry.parentPath, entry.name), 'utf8')
      for (const [name] of text.matchAll(/\b(?:CRANK|OPA)_[A-Z0-9_]*[A-Z0-9]\b/g)) named.add(name)
    }
  }
  const known = new Set([
    ...SETTING_NAMES,
    // Examples of what Kubernetes sets, and of a name cut short, in the documentation's text.
    ...['CRANK_SERVICE_HOST', 'OPA_PORT', 'CRANK_AUDIT'],
    // Of older versions.
    'CRANK_AUDIT_FILE',
  ])
  const ours = [...named].filter((name) => /^(CRANK|OPA)_/.test(name))
  expect(ours.filter((name) => !known.has(name))).toEqual([])
})

describe('a name that nobody reads', () => {
  test.each([
    ['CRANK_AUDT_DIR', 'CRANK_AUDIT_DIR'],
    ['CRANK_AUDIT', 'CRANK_AUDIT_DIR'],
    ['CRANK_ADMN_PORT', 'CRANK_ADMIN_PORT'],
    ['CRANK_POLICY_DIR_PATH', 'CRANK_POLICY_DIR'],
    ['CRANK_TLS_CRET', 'CRANK_TLS_CERT'],
    ['OPA_TIMEOUT', 'OPA_TIMEOUT_MS'],
    ['OPA_URLS', 'OPA_URL'],
    ['CRANK_CONTROLLER_URL', 'CONTROLLER_URL'],
    ['CRANK_LOG_LEVEL', 'LOG_LEVEL'],
  ])('%s is a fault, and %s was meant', (name, meant) => {
    expect(oddNames({ [name]: '9001' })).toEqual({
      faults: [`${name}: unknown setting; did you mean ${meant}? Rename it, or unset it`],
      unknown: [],
    })
  })

  test('that is like no other is unknown; an empty one, and one of another program, is nothing', () => {
    const env = { CRANK_FROM_TOMORROW: '1', CRANK_AUDT_DIR: '', CRANK_WORKER_HOSTS: 'a', CRANKSHAFT: '1', HOME: '/' }
    expect(oddNames(env)).toEqual({ faults: [], unknown: ['CRANK_FROM_TOMORROW'] })
  })

  test('that Kubernetes has set is nothing, with the value that Kubernetes gives it', () => {
    const kubernetes = {
      CRANK_SERVICE_HOST: '10.0.0.1',
      CRANK_SERVICE_PORT: '9000',
      CRANK_SERVICE_PORT_HTTPS: '9000',
      CRANK_WORKER_SERVICE_HOST: 'fd00::1',
      CRANK_CONTROLLER_PORT: 'tcp://10.0.0.1:9000',
      CRANK_PORT_9000_TCP: 'tcp://10.0.0.1:9000',
      CRANK_PORT_9000_TCP_PROTO: 'tcp',
      CRANK_PORT_9000_TCP_PORT: '9000',
      CRANK_PORT_9000_TCP_ADDR: '10.0.0.1',
      OPA_PORT: 'tcp://10.0.0.2:8181',
      OPA_SERVICE_HOST: '10.0.0.2',
      OPA_SERVICE_PORT: '8181',
      OPA_PORT_8181_TCP: 'tcp://10.0.0.2:8181',
    }
    expect(oddNames(kubernetes)).toEqual({ faults: [], unknown: [] })
    expect(oddNames({ CRANK_SERVICE_HOST: 'somewhere' }).unknown).toEqual(['CRANK_SERVICE_HOST'])
  })

  test('but that Kubernetes set for a setting of ours is distinguished from a wrong port', () => {
    expect(kubernetesHint('CRANK_PORT', 'tcp://10.0.0.1:9000')).toContain('a service named "crank"')
    expect(kubernetesHint('CRANK_ADMIN_PORT', 'tcp://10.0.0.1:9000')).toContain('a service named "crank-admin"')
    expect(kubernetesHint('CRANK_PORT', 'http')).toBe('')
  })
})
