// `crank invoke <verb> <capability>`: one call through the controller.
import { Option, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { outputOption, clientCommand } from '../options.ts'

const EXAMPLES = `
Examples:
  crank invoke invoke hello_world --as streaming --data '{"message":"Ada"}'
  crank invoke stream text_events --as streaming --data @request.json
  crank invoke stream:text_events --as streaming --text-file content=story.txt
  echo '{"content":"one two three"}' | crank invoke stream:text_events --as streaming --data - -o json`

/** `crank invoke` */
export function invokeCommand(): CommandUnknownOpts {
  return clientCommand('invoke')
    .argument('<verb>', 'verb, such as convert; or both as one word, such as convert:document_to_pdf')
    .argument('[capability]', 'capability, such as document_to_pdf')
    .usage('[options] <verb> <capability>')
    .description('call a capability: the body goes to stdout, the rest to stderr; exit 1 if it was refused')
    .option('-d, --data <json>', 'payload: JSON, @file, or - for stdin')
    .addOption(memberOption('--file <member=path>', 'payload member with the file in base64; may be repeated'))
    .addOption(memberOption('--text-file <member=path>', 'payload member with the file as text; may be repeated'))
    .option('--timeout-ms <n>', 'maximum time to the first byte of the answer')
    .option('--idempotency-key <key>', 'at most one call with this key is executed within an hour')
    .addOption(new Option('--priority <level>', 'priority of the call').choices(['low', 'normal', 'high'] as const))
    .option('--worker-version <range>', 'only workers whose version satisfies the constraint, such as ^1.2')
    .addOption(memberOption('--prefer <label=value>', 'workers with this label first; may be repeated'))
    .addOption(memberOption('--require <label=value>', 'only workers with this label; may be repeated'))
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(async (verb, capability, options) => {
      const { invoke } = await import('../invoke.ts')
      process.exitCode = await invoke({ verb, capability }, options)
    })
}

function memberOption<Flags extends string>(flags: Flags, description: string) {
  return new Option(flags, description).argParser<string[] | undefined>((given, before) => [...(before ?? []), given])
}
