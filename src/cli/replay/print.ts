// Prints a report as a table for a terminal, as Markdown for a pull request, or as JSON for programs.
import { printable } from '../../core/printable.ts'
import { paint, tableLines, writeJson, writeLine, type Colour } from '../output.ts'
import { titleOf, type Effect } from './change.ts'
import { andMore, counted, headingOf, remarksOf, type Change, type Report } from './report.ts'
import type { Group } from './tally.ts'

export type ReplayFormat = 'table' | 'json' | 'markdown'

/** A comment on GitHub is limited to 65,536 characters. */
const MAX_SHOWN = 50
const COLOURS: Readonly<Record<Effect, Colour>> = {
  wider: 'red',
  narrower: 'yellow',
  neither: 'dim',
  other_reasons: 'dim',
}
const COLUMNS: readonly { readonly title: string; readonly cell: (group: Group) => string }[] = [
  { title: 'requester', cell: ({ requester }) => requester },
  { title: 'capability', cell: ({ subject }) => subject },
  { title: 'before', cell: ({ before }) => before },
  { title: 'after', cell: ({ after }) => after },
  { title: 'decisions', cell: ({ count }) => count.toLocaleString('en-US') },
  { title: 'first', cell: ({ first }) => first },
  { title: 'last', cell: ({ last }) => last },
  { title: 'example decision', cell: ({ example }) => example },
]

/** Writes the report to stdout. */
export function printReport(report: Report, format: ReplayFormat): void {
  switch (format) {
    case 'json': {
      writeJson(report)
      return
    }
    case 'markdown': {
      for (const line of toMarkdown(report).split('\n')) writeLine(line)
      return
    }
    case 'table': {
      for (const line of reportLines(report)) writeLine(line)
      return
    }
  }
}

/** A heading, a short table, and the groups in folded sections. */
function toMarkdown(report: Report): string {
  const rows = report.changes.map((change) => {
    const title = titleOf(change, '→')
    return `| ${change.effect === 'wider' ? `**${title}**` : title} | ${change.decisions.toLocaleString('en-US')} |`
  })
  return [
    `### Policy replay: ${summaryOf(report)}`,
    '',
    `${scopeOf(report, markdownCode)}.`,
    ...(rows.length === 0 ? [] : ['', '| change | decisions |', '| --- | ---: |', ...rows]),
    ...remarksOf(report).map((remark) => `\n${remark}.`),
    ...report.changes.flatMap(markdownDetails),
  ].join('\n')
}

function markdownDetails(change: Change): string[] {
  const more = andMore(change, MAX_SHOWN)
  return [
    '',
    `<details><summary>${headingOf(change, '→')}</summary>`,
    '',
    `| ${COLUMNS.map(({ title }) => title).join(' | ')} |`,
    `| ${COLUMNS.map(({ title }) => (title === 'decisions' ? '---:' : '---')).join(' | ')} |`,
    ...change.groups
      .slice(0, MAX_SHOWN)
      .map((group) => `| ${COLUMNS.map(({ cell }) => markdownCode(cell(group))).join(' | ')} |`),
    ...(more === undefined ? [] : ['', more]),
    '',
    '</details>',
  ]
}

function reportLines(report: Report): string[] {
  return [
    `${paint(report.changed === 0 ? 'green' : 'bold', summaryOf(report))}: ${scopeOf(report, (name) => name)}`,
    ...report.changes.flatMap((change) => {
      const more = andMore(change, MAX_SHOWN)
      const columns = COLUMNS.map(({ title, cell }) => ({ title: title.toUpperCase(), cell }))
      return [
        '',
        paint(COLOURS[change.effect], headingOf(change)),
        ...tableLines(columns, change.groups.slice(0, MAX_SHOWN)),
        ...(more === undefined ? [] : [more]),
      ]
    }),
  ]
}

function summaryOf({ changed, decisions, otherReasons }: Report): string {
  const also = otherReasons === 0 ? '' : `, ${counted(otherReasons, 'decision')} for other reasons`
  return changed === 0
    ? `no change in ${counted(decisions, 'recorded decision')}${also}`
    : `${changed.toLocaleString('en-US')} of ${counted(decisions, 'recorded decision')} ${changed === 1 ? 'changes' : 'change'}${also}`
}

function scopeOf({ policy, audit }: Report, name: (text: string) => string): string {
  const times = audit.first === null || audit.last === null ? '' : `, ${audit.first} to ${audit.last}`
  return `policy ${name(policy.dir)} (revision ${name(policy.revision)}) over ${name(audit.file)}${times}`
}

/** As inline code, in which only its end and that of a table cell have a meaning. */
function markdownCode(text: string): string {
  return text === '' ? '' : `\`${printable(text).replace(/`/g, "'").replace(/\|/g, '\\|')}\``
}
