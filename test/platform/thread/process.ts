// A process whose thread has nothing more to do (`idle`), or owes a reply for a while (`working`): how long does it live?
import { startThread } from '../../../src/platform/thread/thread.ts'
import type { Order } from './obedient.ts'

const thread = startThread<Order, unknown>({ entry: new URL('./obedient.ts', import.meta.url), name: 'test' })
await thread.ask({ do: 'print' })
process.stdout.write('first ')
if (process.argv[2] === 'working') {
  void thread
    .ask({ do: 'never reply' }, { limits: { wallMs: 300 } })
    .catch((error: unknown) => process.stdout.write(String(error)))
}
