// One of the processes that serve, started by the parent (CRANK_PROCESSES): not a command.
import module from 'node:module'
import type { Task } from '../controller/main.ts'
import { reportFailure } from './report-failure.ts'

module.enableCompileCache()
const { runControllerProcess } = await import('./run-controller.ts')
const { seat, flags, ports } = JSON.parse(process.argv[2] ?? '{}') as Task
try {
  await runControllerProcess(flags, seat, ports)
} catch (cause: unknown) {
  process.exitCode = reportFailure(cause)
  process.disconnect()
}
