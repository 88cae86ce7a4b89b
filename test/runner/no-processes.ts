// In unit tests nothing starts a process, so that none of them can need a native tool: the attempt fails and says where such a
// test belongs. Threads are allowed.
import childProcess from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'
import { expect } from 'vitest'

const STARTERS = ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork'] as const

for (const name of STARTERS) {
  Object.assign(childProcess, {
    [name](program: unknown): never {
      const file = expect.getState().testPath ?? 'this test'
      throw new Error(`${file} starts a process (${String(program)}): add it to MESH in vitest.config.ts`)
    },
  })
}
syncBuiltinESMExports()
