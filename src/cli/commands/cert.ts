// `crank cert`: development certificates, and the content of certificates.
import { Command, Option, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { outputOption, stateDirOption } from '../options.ts'

/** `crank cert` */
export function certCommand(): CommandUnknownOpts {
  return new Command('cert')
    .description('create development certificates, and inspect certificates')
    .addCommand(devCaCommand())
    .addCommand(issueCommand())
    .addCommand(inspectCommand())
}

function devCaCommand(): CommandUnknownOpts {
  return new Command('dev-ca')
    .description('create a development CA, with certificates for the controller and the bundled workers')
    .addOption(stateDirOption())
    .addOption(trustDomainOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank cert dev-ca --state-dir .crank')
    .action(async (options) => {
      const { makeDevCa } = await import('../cert.ts')
      process.exitCode = await makeDevCa(options)
    })
}

function issueCommand(): CommandUnknownOpts {
  return new Command('issue')
    .argument('<name>', 'controller, or worker-<name>')
    .description('issue a development certificate of that name')
    .addOption(stateDirOption())
    .addOption(trustDomainOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank cert issue worker-email-classifier')
    .action(async (name, options) => {
      const { issueCertificate } = await import('../cert.ts')
      process.exitCode = await issueCertificate(name, options)
    })
}

function inspectCommand(): CommandUnknownOpts {
  return new Command('inspect')
    .argument('<file>', 'certificate, PEM')
    .description('print identity, validity and faults of a certificate; exit 1 if it is not a usable X.509-SVID')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank cert inspect .crank/pki/controller.crt')
    .action(async (file, options) => {
      const { inspectCertificate } = await import('../cert.ts')
      process.exitCode = await inspectCertificate(file, options)
    })
}

function trustDomainOption() {
  return new Option('--trust-domain <name>', 'SPIFFE trust domain (CRANK_TRUST_DOMAIN, default crank.local)')
}
