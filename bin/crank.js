#!/usr/bin/env node
// Launcher of `crank`, in JavaScript because Node strips no types inside node_modules: the repository's source runs as it
// is, an installed package runs its compiled form. On a Node that is too old it goes on with the project's own Node 24.
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'
import { fitNode, isNodeFit, NO_DEBUGGER, NO_NODE, runForeground } from './node-24.js'

const self = fileURLToPath(import.meta.url)
// Without a listener it would open the debugger to whoever may signal this process.
process.on('SIGUSR1', () => undefined)

if (isNodeFit(process.versions.node)) {
  module.enableCompileCache()
  const source = new URL('../src/cli.ts', import.meta.url)
  const compiled = new URL('../dist/cli.js', import.meta.url)
  /** @type {unknown} */
  const loaded = await import((existsSync(source) ? source : compiled).href)
  const { main } = /** @type {typeof import('../src/cli.ts')} */ (loaded)
  await main(process.argv.slice(2))
} else {
  const node = fitNode(self)
  if (node === undefined) {
    process.stderr.write(`${NO_NODE}\n`)
    process.exitCode = 2
  } else {
    process.exitCode = await runForeground(node, [...process.execArgv, NO_DEBUGGER, self, ...process.argv.slice(2)])
  }
}
