// `crank manifest generate` under the name that the plan uses; takes the same options.
import { main } from '../src/cli.ts'

await main(['manifest', 'generate', ...process.argv.slice(2)])
