// Two projects. `unit`: no native tool, no process, files share a few test processes. `mesh`: everything that starts processes
// (OPA, Go, crank, the demo) or needs a native tool; each file has a process of its own. `npm test` runs both.
import { defineConfig } from 'vitest/config'
import { SlowestTests } from './test/runner/slowest-tests.ts'

/**
 * Tests that start a process, by folder or name. Everything else is a unit test, where the attempt to start a process fails
 * (test/runner/no-processes.ts): such a test belongs here.
 */
const MESH = [
  'test/{contract,deploy,docker,e2e}/**/*.test.ts',
  'test/cli/{audit,audit-export-stream,examples,loaded-modules,mesh,new-worker,setting-names,terminal,traces,usage,worker-file}.test.ts',
  'test/controller/config.test.ts',
  'test/controller/audit/faults.test.ts',
  'test/controller/audit-keeper/keeper-nats.test.ts',
  'test/controller/audit-shipping/{sigkill,stream}.test.ts',
  'test/controller/candidate/candidate.test.ts',
  'test/controller/dispatch/probe.test.ts',
  'test/controller/idempotency/{shared-store,sqlite-store}.test.ts',
  'test/controller/mesh/mesh.test.ts',
  'test/controller/store/store-link.test.ts',
  'test/controller/live-policy/{live-bundle,live-policy,live-sidecar,opa-faults,policy-loader,restarted-sidecar}.test.ts',
  'test/docs/{backup-and-restore,incident,links,migration-guide,policy-authoring,resilience-commands,slo-authoring,spiffe,worker-typescript}.test.ts',
  'test/faults/short.test.ts',
  'test/kubernetes/{built,built-mesh,config-map-volume,nats}.test.ts',
  'test/manifest/{add,command,definitions}.test.ts',
  'test/observability/{compose-health-checks,grafana-provisioning,log-queries,opa}.test.ts',
  'test/platform/nats/connect-nats.test.ts',
  'test/platform/{child-environment,log-output,logger}.test.ts',
  'test/platform/thread/thread.test.ts',
  'test/platform/tracing/tracing.test.ts',
  'test/policy/engine/{bundle,compile,opa-wasm}.test.ts',
  'test/scripts/{bench,bench-audit,bench-peers,bench-replay,bootstrap,build-policy,native-tools,policy-workflow,quick,release,smoke-compose}.test.ts',
  'test/worker/{go-worker,main,run-process}.test.ts',
  'test/workers/document_conversion/threads.test.ts',
  'test/workers/image_classifier/offline.test.ts',
  'test/workers/semantic_search/index-thread.test.ts',
  'test/workers/zettel/crash.test.ts',
]
/** `npm run test:stack` and `npm run test:fleet`, in configurations of their own. */
const OTHERS = ['test/stack/**', 'test/fleet/**']

export default defineConfig({
  test: {
    pool: 'forks',
    // Real sockets and child processes: few workers, generous limits, nothing timed.
    maxWorkers: 3,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
    env: { LOG_LEVEL: 'silent' },
    reporters: ['default', new SlowestTests()],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      // They run in a thread or process of their own, where nothing counts.
      exclude: ['src/**/*-main.ts', 'src/cli/manifest/import-child.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: {
        lines: 85,
        functions: 85,
        branches: 80,
        statements: 85,
        // What the tests of commands reach in their own process (test/cli/in-process.ts); a child process is not counted.
        'src/{cli.ts,cli/**}': { lines: 83, functions: 84, branches: 74, statements: 82 },
      },
    },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...MESH, ...OTHERS],
          setupFiles: ['test/runner/no-processes.ts'],
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'mesh',
          include: MESH,
          globalSetup: ['test/runner/native-tools.ts'],
        },
      },
    ],
  },
})
