// What Prometheus is given in observability/prometheus: rules, alerts and their unit tests.
import { readdir } from 'node:fs/promises'
import { join, matchesGlob } from 'node:path'
import { ROOT } from '../docker/compose.ts'
import { readYaml } from './files.ts'
import { readPromql, type Grouping, type Selector } from './promql.ts'

export const FOLDER = 'observability/prometheus'

export type Recording = { readonly record: string; readonly expr: string }
export type Alert = {
  readonly alert: string
  readonly expr: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}
export type AlertCase = {
  readonly eval_time: string
  readonly alertname: string
  readonly exp_alerts?: readonly { readonly exp_labels: Readonly<Record<string, string>> }[]
}
type Groups<T> = { readonly groups: readonly { readonly name: string; readonly rules: readonly T[] }[] }
type Tests = {
  readonly rule_files: readonly string[]
  readonly tests: readonly { readonly name: string; readonly alert_rule_test?: readonly AlertCase[] }[]
}

/** Paths below the folder, of one of its folders. */
export async function filesIn(folder: 'rules' | 'alerts' | 'tests'): Promise<string[]> {
  return (await readdir(join(ROOT, FOLDER, folder))).map((name) => `${folder}/${name}`)
}

export async function readRecordings(): Promise<Recording[]> {
  return rulesOf<Recording>(await filesIn('rules'))
}

export async function readAlerts(): Promise<Alert[]> {
  return rulesOf<Alert>(await filesIn('alerts'))
}

export async function readTests(): Promise<Tests[]> {
  return Promise.all((await filesIn('tests')).map((file) => readYaml<Tests>(`${FOLDER}/${file}`)))
}

/** Those of `rule_files` in prometheus.yml that name the file. */
export async function patternsFor(file: string): Promise<string[]> {
  const { rule_files } = await readYaml<{ rule_files: string[] }>(`${FOLDER}/prometheus.yml`)
  return rule_files.filter((pattern) => matchesGlob(file, pattern))
}

/** Where the addresses in the alerts lead: Grafana, as the compose file publishes it. */
export const GRAFANA = 'http://127.0.0.1:3000'

/** An expression with comments: what it selects, what it groups by, and the labels of its `on (…)`. */
export function readRule(expr: string): { selectors: Selector[]; groupings: Grouping[]; matched: string[] } {
  const matched: string[] = []
  const plain = expr.replaceAll(/^\s*#.*$/gm, '').replaceAll(/\bon \(([^)]*)\)/g, (_, labels: string) => {
    matched.push(...labels.split(',').flatMap((label) => label.trim() || []))
    return ''
  })
  return { ...readPromql(plain), matched }
}

async function rulesOf<T>(files: readonly string[]): Promise<T[]> {
  const parsed = await Promise.all(files.map((file) => readYaml<Groups<T>>(`${FOLDER}/${file}`)))
  return parsed.flatMap(({ groups }) => groups.flatMap(({ rules }) => rules))
}
