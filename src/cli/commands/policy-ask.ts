// `crank can-i`, `explain`, `who-can`, `what-can`: query the policy without making a call.
import { Command, Option } from '@commander-js/extra-typings'
import { auditDirOption, auditFileOption, outputOption, stateDirOption } from '../options.ts'

const WHO = 'SPIFFE ID, or a worker such as streaming'
const VERB = 'verb, such as convert; or both as one word, such as convert:document_to_pdf'

/** `crank can-i` */
export function canICommand() {
  return new Command('can-i')
    .argument('<who>', WHO)
    .argument('<verb>', VERB)
    .argument('[capability]', 'capability, such as document_to_pdf')
    .usage('[options] <who> <verb> <capability>')
    .description(
      'check whether a caller may use a capability; exit 0 allowed, 1 denied, 2 invalid input, 3 no decision',
    )
    .addOption(adminOption())
    .addOption(policyOption())
    .addOption(atOption())
    .addOption(enforcedOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExamples:\n  crank can-i streaming convert document_to_pdf\n  crank can-i streaming stream text_events --policy policies',
    )
    .action(async (who, verb, capability, options) => {
      const { canI } = await import('../policy-ask/can-i.ts')
      process.exitCode = await canI({ who, verb, capability }, options)
    })
}

/** `crank explain` */
export function explainCommand() {
  return new Command('explain')
    .argument('<id|who>', `decision id or trace id from the audit log; or ${WHO}`)
    .argument('[verb]', VERB)
    .argument('[capability]', 'capability, such as document_to_pdf')
    .description('explain a recorded or possible decision: the reasons, the nearest miss, and what would change it')
    .addOption(auditFileOption())
    .addOption(auditDirOption())
    .addOption(stateDirOption())
    .addOption(adminOption())
    .addOption(policyOption())
    .addOption(atOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExamples:\n  crank explain 019aa1c2-7d5e-7b3a-9c55-0d2f6a1b8e44\n  crank explain streaming convert document_to_pdf',
    )
    .action(async (first, verb, capability, options) => {
      const { explain } = await import('../policy-ask/explain.ts')
      process.exitCode = await explain([first, verb, capability], options)
    })
}

/** `crank who-can` */
export function whoCanCommand() {
  return new Command('who-can')
    .argument('<verb>', VERB)
    .argument('[capability]', 'capability, such as document_to_pdf')
    .usage('[options] <verb> <capability>')
    .description('list the callers in manifests and exceptions that may use a capability; exit 1 if there are none')
    .addOption(adminOption())
    .addOption(policyOption())
    .addOption(atOption())
    .addOption(enforcedOption())
    .addOption(allOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank who-can convert document_to_pdf --all')
    .action(async (verb, capability, options) => {
      const { whoCan } = await import('../policy-ask/lists.ts')
      process.exitCode = await whoCan({ verb, capability }, options)
    })
}

/** `crank what-can` */
export function whatCanCommand() {
  return new Command('what-can')
    .argument('<who>', WHO)
    .description('list the capabilities in manifests and exceptions that a caller may use; exit 1 if there are none')
    .addOption(adminOption())
    .addOption(policyOption())
    .addOption(atOption())
    .addOption(enforcedOption())
    .addOption(allOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  crank what-can streaming -o json')
    .action(async (who, options) => {
      const { whatCan } = await import('../policy-ask/lists.ts')
      process.exitCode = await whatCan(who, options)
    })
}

function adminOption() {
  const help = 'query the controller at this admin listener (CRANK_ADMIN_URL, default http://127.0.0.1:9001)'
  return new Option('--admin, --admin-url <url>', help)
}

function policyOption() {
  return new Option('--policy <dir>', 'query the files of this folder instead').conflicts('adminUrl')
}

function atOption() {
  return new Option(
    '--at <time>',
    'decide as of this time, such as 2026-12-01T00:00:00Z, for example after exceptions expire',
  )
}

function enforcedOption() {
  return new Option('--enforced', 'answer as if shadow mode were off')
}

function allOption() {
  return new Option('--all', 'also list denied entries, with the reason')
}
