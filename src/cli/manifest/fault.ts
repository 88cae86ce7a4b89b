// Why the definition of a worker cannot be read: always a file and a reason.

/** `line` and `column` count from 1; absent if the fault has no position in the file. */
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

/** Sorted by file and line, without duplicates. */
export function sortFaults(faults: readonly Fault[]): Fault[] {
  const byText = new Map(faults.map((fault) => [formatFault(fault), fault]))
  return [...byText.values()].sort(
    (a, b) => compareText(a.file, b.file) || (a.line ?? 0) - (b.line ?? 0) || compareText(a.reason, b.reason),
  )
}

/** By code units, independent of the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
