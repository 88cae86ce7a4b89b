// `crank can-i`, `explain`, `who-can`, `what-can`: ask the policy without making a call.
import { Command, Option } from '@commander-js/extra-typings'
import { outputOption, stateDirOption } from '../options.ts'

const WHO = 'SPIFFE ID, or a worker such as streaming'
const VERB = 'such as convert; or verb and capability in one word, such as convert:document_to_pdf'

/** `crank can-i` */
export function canICommand() {
  return new Command('can-i')
    .argument('<who>', WHO)
    .argument('<verb>', VERB)
    .argument('[capability]', 'such as document_to_pdf')
    .usage('[options] <who> <verb> <capability>')
    .description('may somebody use a capability? exit 0 yes, 1 no, 2 wrong usage, 3 no decision')
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
    .argument('<id|who>', `decision id or trace id of the audit log; or ${WHO}`)
    .argument('[verb]', VERB)
    .argument('[capability]', 'such as document_to_pdf')
    .description('why a call was decided, or would be, as it is: the nearest miss, and what would change it')
    .addOption(
      new Option('--audit, --audit-file <file>', 'audit log (CRANK_AUDIT_FILE, default <state-dir>/audit.jsonl)'),
    )
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
    .argument('[capability]', 'such as document_to_pdf')
    .usage('[options] <verb> <capability>')
    .description('who may use a capability, of those that manifests and exceptions name; exit 1 if nobody')
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
    .description('what somebody may use, of all that manifests and exceptions name; exit 1 if nothing')
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
  const help = 'ask the controller with this admin listener (CRANK_ADMIN_URL, default http://127.0.0.1:9001)'
  return new Option('--admin, --admin-url <url>', help)
}

function policyOption() {
  return new Option('--policy <dir>', 'ask the files of this folder instead').conflicts('adminUrl')
}

function atOption() {
  return new Option('--at <time>', 'decide for that time, such as 2026-12-01T00:00:00Z: when exceptions have ended')
}

function enforcedOption() {
  return new Option('--enforced', 'answer as if shadow mode were off')
}

function allOption() {
  return new Option('--all', 'also where the answer is no, and why')
}
