// `crank policy`: commands for the policy folder.
import { Command } from '@commander-js/extra-typings'
import { auditDirOption, auditFileOption, outputOption, policyDirOption, stateDirOption } from '../options.ts'

/** `crank policy` */
export function policyCommand() {
  return new Command('policy')
    .description('commands for the policy folder')
    .addCommand(unusedCommand())
    .addCommand(buildCommand())
    .addCommand(verifyBundleCommand())
}

function unusedCommand() {
  return new Command('unused')
    .description('list capabilities that are declared but unused, or used but undeclared; exit 1 if there are any')
    .option('--since <when>', 'count calls since then: 12h or 30d ago, or an ISO 8601 time', '30d')
    .addOption(policyDirOption())
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank policy unused --since 90d')
    .action(async (options) => {
      const { listUnused } = await import('../policy-unused.ts')
      process.exitCode = await listUnused(options)
    })
}

function buildCommand() {
  return new Command('build')
    .description('check the policy folder and build an OPA bundle from it')
    .addOption(policyDirOption())
    .option('--out <file>', 'output file', 'bundle.tar.gz')
    .option('--revision <text>', "the bundle's revision (default: the hash of Rego and data that the controller shows)")
    .option('--signing-key <file>', 'private key for the signature, PEM: RSA, or EC on P-256, P-384 or P-521')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank policy build --signing-key bundle.key --out bundle.tar.gz')
    .action(async (options) => {
      const { buildPolicyBundle } = await import('../policy-bundle.ts')
      process.exitCode = await buildPolicyBundle(options)
    })
}

function verifyBundleCommand() {
  return new Command('verify-bundle')
    .description("check a bundle's signature as OPA does; exit 1 if it is invalid")
    .argument('<file>', 'bundle file')
    .requiredOption('--verification-key <file>', 'public key, PEM')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank policy verify-bundle bundle.tar.gz --verification-key bundle.pub')
    .action(async (file, options) => {
      const { verifyPolicyBundle } = await import('../policy-bundle.ts')
      process.exitCode = await verifyPolicyBundle(file, options)
    })
}
