// `crank manifest`: what workers may call and offer, taken from their source.
import { Command, Option } from '@commander-js/extra-typings'
import { outputOption } from '../options.ts'

/** `crank manifest` */
export function manifestCommand() {
  return new Command('manifest')
    .description('make the manifest of workers from their source, or compare the two')
    .addCommand(generateCommand())
    .addCommand(verifyCommand())
    .addCommand(diffCommand())
}

function generateCommand() {
  return new Command('generate')
    .description('write what the code provides, calls and requires; owner, deployed_at and other entries stay')
    .addOption(workersOption())
    .option('--out <file>', 'manifest (default data/worker_manifests.json of CRANK_POLICY_DIR)')
    .option('--owner <name>', 'owner of entries that are new', 'crank')
    .option('--dry-run', 'only show what would change')
    .addOption(trustDomainOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank manifest generate --dry-run')
    .action(async ({ out, ...options }) => {
      const { generateManifest } = await load()
      process.exitCode = await generateManifest({ ...options, manifest: out }, Date.now)
    })
}

function verifyCommand() {
  return new Command('verify')
    .description('compare code and manifest; exit 1 when they differ or a worker has no manifest')
    .addOption(workersOption())
    .addOption(manifestOption())
    .addOption(trustDomainOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank manifest verify --workers src/workers')
    .action(async (options) => {
      const { verifyManifest } = await load()
      process.exitCode = await verifyManifest(options)
    })
}

function diffCommand() {
  return new Command('diff')
    .description('what generate would change, as lines with + and -')
    .addOption(workersOption())
    .addOption(manifestOption())
    .addOption(trustDomainOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank manifest diff -o json')
    .action(async (options) => {
      const { diffManifest } = await load()
      process.exitCode = await diffManifest(options)
    })
}

async function load() {
  return import('../manifest/run.ts')
}

function workersOption() {
  return new Option('--workers <path>', 'folder of the sources').default('src/workers')
}

function manifestOption() {
  return new Option('--manifest <file>', 'default data/worker_manifests.json of CRANK_POLICY_DIR')
}

function trustDomainOption() {
  return new Option('--trust-domain <name>', 'SPIFFE trust domain (CRANK_TRUST_DOMAIN, default crank.local)')
}
