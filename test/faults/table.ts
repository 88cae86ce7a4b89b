// The result as a table: fault | expected | seen | figure.
import type { Result } from './runner.ts'

export function resultTable(results: readonly Result[]): string {
  const rows = results.map(({ id, fault, expected, seen, figure, verdict }) => [
    id,
    fault,
    expected,
    `${verdict === 'missed' ? 'MISSED: ' : ''}${seen}`,
    figure,
  ])
  const lines = [['', 'fault', 'expected', 'seen', 'figure'], ['-', '-', '-', '-', '-'], ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

/** What was missed, one line each; with the seed that repeats it. */
export function missLines(results: readonly Result[]): string {
  return results
    .filter(({ verdict }) => verdict === 'missed')
    .flatMap(({ id, misses, late, violations, seed }) => [
      ...[...misses, ...late].map((miss) => `${id}: not so: ${miss}\n`),
      ...violations.map(({ rule, says }) => `${id}: the history breaks rule (${rule}): ${says}\n`),
      `${id}: run it again: npm run test:faults -- --only ${id} --seed ${seed}\n`,
    ])
    .join('')
}

export function summary(results: readonly Result[]): string {
  const count = (verdict: Result['verdict']): number => results.filter((one) => one.verdict === verdict).length
  const seconds = Math.round(results.reduce((sum, one) => sum + one.seconds, 0))
  return `${count('held')} held, ${count('missed')} missed, ${count('not shown here')} not shown here, in ${seconds} s\n`
}
