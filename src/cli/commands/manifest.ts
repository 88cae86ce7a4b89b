// `crank manifest`: what workers may call and offer, from their definitions.
import { Command, Option } from '@commander-js/extra-typings'
import { outputOption } from '../options.ts'

const EXECUTED = `
The definitions are executed, 10 s for each file at most, in a process that reads only their package and node_modules
and cannot write or start anything; it has no environment variables. It can reach the network.`

/** `crank manifest` */
export function manifestCommand() {
  return new Command('manifest')
    .description('write the manifest of workers from their definitions, or compare the two')
    .addHelpText('after', EXECUTED)
    .addCommand(generateCommand())
    .addCommand(verifyCommand())
    .addCommand(diffCommand())
    .addCommand(addCommand())
}

function generateCommand() {
  return new Command('generate')
    .description('write what the code provides and requires; owner, deployed_at and other entries are kept')
    .addOption(workersOption())
    .addOption(outOption())
    .option('--owner <name>', 'owner of new entries', 'crank')
    .option('--dry-run', 'show the change without writing it')
    .addOption(trustDomainOption())
    .addOption(outputOption())
    .addHelpText('after', `${EXECUTED}\n\nExample:\n  crank manifest generate --dry-run`)
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
    .addHelpText('after', `${EXECUTED}\n\nExample:\n  crank manifest verify --workers src/workers`)
    .action(async (options) => {
      const { verifyManifest } = await load()
      process.exitCode = await verifyManifest(options)
    })
}

function diffCommand() {
  return new Command('diff')
    .description('show what generate would change, as lines with + and -')
    .addOption(workersOption())
    .addOption(manifestOption())
    .addOption(trustDomainOption())
    .addOption(outputOption())
    .addHelpText('after', `${EXECUTED}\n\nExample:\n  crank manifest diff -o json`)
    .action(async (options) => {
      const { diffManifest } = await load()
      process.exitCode = await diffManifest(options)
    })
}

function addCommand() {
  return new Command('add')
    .argument('<name>', 'name of the worker; its id is worker-<name>')
    .description('write the entry of a worker whose code is elsewhere, in any language; it only adds')
    .addOption(namesOption('--provides <verb:name>', 'capability that it offers and may call; may be repeated'))
    .addOption(namesOption('--requires <verb:name>', 'capability that it calls; may be repeated'))
    .option('--spiffe-id <id>', 'its identity (default spiffe://<trust domain>/worker/<name>)')
    .option('--owner <name>', 'owner of a new entry', 'crank')
    .option('--force', 'write even if another worker provides it, or no worker provides what it requires')
    .option('--dry-run', 'show the change without writing it')
    .addOption(outOption())
    .addOption(trustDomainOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExample:\n  crank manifest add billing --provides make:invoice --requires convert:html_to_pdf --owner team-a',
    )
    .action(async (name, { out, ...options }) => {
      const { addToManifest } = await import('../manifest/add.ts')
      process.exitCode = await addToManifest(name, { ...options, manifest: out }, Date.now)
    })
}

async function load() {
  return import('../manifest/run.ts')
}

function namesOption<const Flags extends string>(flags: Flags, help: string) {
  const collect = (value: string, previous: string[] | undefined): string[] => [...(previous ?? []), value]
  return new Option(flags, help).argParser(collect)
}

function workersOption() {
  return new Option('--workers <path>', 'folder of the sources, or one file').default('src/workers')
}

function outOption() {
  return new Option('--out <file>', 'manifest (default data/worker_manifests.json of CRANK_POLICY_DIR)')
}

function manifestOption() {
  return new Option('--manifest <file>', 'default data/worker_manifests.json of CRANK_POLICY_DIR')
}

function trustDomainOption() {
  return new Option('--trust-domain <name>', 'SPIFFE trust domain (CRANK_TRUST_DOMAIN, default crank.local)')
}
