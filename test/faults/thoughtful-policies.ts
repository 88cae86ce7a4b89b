// A policy that thinks for a long time about calls of high priority, and comes to the same answer.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compilePolicies } from '../fixtures/policy-dir.ts'

const THOUGHT = `
_thought if input.context.priority != "high"

_thought if {
	input.context.priority == "high"
	count([i | some i in numbers.range(1, 300000); i % 7 == 8]) == 0
}
`

/** Changes the folder, and compiles it. */
export async function thoughtfulPolicies(dir: string): Promise<void> {
  const file = join(dir, 'capability_access.rego')
  const text = await readFile(file, 'utf8')
  const changed = text.replace(/^allow if \{\n/m, 'allow if {\n\t_thought\n')
  if (changed === text) throw new Error(`${file}: no rule "allow if {" to change`)
  await writeFile(file, changed + THOUGHT)
  await compilePolicies(dir)
}
