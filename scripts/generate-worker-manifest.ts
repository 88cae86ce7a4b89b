// `crank manifest generate` under its name in the plan; takes the same options.
import { main } from '../src/cli.ts'

await main(['manifest', 'generate', ...process.argv.slice(2)])
