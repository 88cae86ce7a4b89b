// Re-exports platform/run-program.ts, which the controller uses too.
export { run, type Finished, type RunOptions } from '../../src/platform/run-program.ts'
