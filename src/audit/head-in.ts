// The newest record of a slot, as it is on the disk.
import { GENESIS, openRecord, type Head } from './chain.ts'
import { readLinesBackwards } from './lines.ts'
import { segmentsIn } from './places.ts'

/** Lines that are no records are passed over. @param folder the folder of a slot. Rejects with the file system's error. */
export async function headIn(folder: string): Promise<Head> {
  for (const { file } of segmentsIn(folder).reverse()) {
    for await (const text of readLinesBackwards(file)) {
      const record = openRecord(text)
      if (typeof record === 'object') return record
    }
  }
  return GENESIS
}
