// A keeper's thread on a disk that deletes nothing, as with `chattr +i`: notes each attempt in the file `attempts` of the folder.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { serveThread } from '../../../src/platform/thread/serve.ts'
import type { KeeperData, KeeperReport, KeeperTask, Removable } from '../../../src/controller/audit-keeper/words.ts'

const DISK = { bytes: 1, freeBytes: 1e9, totalBytes: 1e9, minFreeBytes: 1, bytesPerDay: 0, daysLeft: undefined }

serveThread<KeeperData, KeeperTask, KeeperReport | undefined>(({ folder }) => ({
  answer(task) {
    if (task.kind === 'remove') {
      appendFileSync(join(folder, 'attempts'), '.')
      throw Object.assign(new Error('operation not permitted'), { code: 'EPERM' })
    }
    // One segment more is old after the third look.
    const lastSeq = task.nowMs < 3 ? 7 : 9
    const removable: Removable = { files: ['1.jsonl'], reason: 'age', firstSeq: 1, lastSeq, lastHash: 'a'.repeat(64) }
    const about = { bytes: 1, oldestMs: 0, segments: 2, shipping: [], faults: [], more: false }
    return { disk: DISK, ...about, removable }
  },
}))
