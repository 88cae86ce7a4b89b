// What keeps the definition of a worker from being read: always a file and a reason.

/** `line` and `column` count from 1; they are absent where the fault has no place in the file. */
export type Fault = {
  readonly file: string
  readonly line?: number | undefined
  readonly column?: number | undefined
  readonly reason: string
}
export type Place = Omit<Fault, 'reason'>

/** `src/workers/a.ts:3:9`, or the file alone. */
export function formatPlace({ file, line, column }: Place): string {
  return [file, line, column].filter((part) => part !== undefined).join(':')
}

/** `src/workers/a.ts:3:9: throws while it is imported: …` */
export function formatFault(fault: Fault): string {
  return `${formatPlace(fault)}: ${fault.reason}`
}

/** In the order of files and lines, each once. */
export function sortFaults(faults: readonly Fault[]): Fault[] {
  const byText = new Map(faults.map((fault) => [formatFault(fault), fault]))
  return [...byText.values()].sort(
    (a, b) => compareText(a.file, b.file) || (a.line ?? 0) - (b.line ?? 0) || compareText(a.reason, b.reason),
  )
}

/** By code units, whatever the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
