// `crank audit key`: makes the key that signs the checkpoints of the audit log.
import { generateKeyPairSync } from 'node:crypto'
import { open } from 'node:fs/promises'
import { checkpointKeyName } from '../audit/checkpoint.ts'
import { noteSigner, verifierKey } from '../audit/signed-note.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { environment } from './environment.ts'
import { EXIT, usageFailure, type ExitCode } from './exit.ts'
import { say, writeLine } from './output.ts'

/** Writes the private key to a new file, and its verifier key to stdout. */
export async function makeAuditKey({
  out,
  controllerId,
}: {
  out: string
  controllerId?: string | undefined
}): Promise<ExitCode> {
  const env = environment()
  const id =
    controllerId ?? env['CRANK_CONTROLLER_ID'] ?? `spiffe://${env['CRANK_TRUST_DOMAIN'] ?? 'crank.local'}/controller`
  const { privateKey } = generateKeyPairSync('ed25519')
  const { verifier } = noteSigner(keyNameOf(id), privateKey)
  try {
    // 'wx': a key that is in use is never overwritten.
    await using file = await open(out, 'wx', 0o600)
    await file.writeFile(privateKey.export({ format: 'pem', type: 'pkcs8' }))
    await file.sync()
  } catch (cause: unknown) {
    throw usageFailure(`--out ${out} cannot be written`, cause)
  }
  writeLine(verifierKey(verifier))
  say(`the private key is in ${out}: start the controller with CRANK_AUDIT_SIGNING_KEY=${out}`)
  say('keep the line above where nobody can change it: crank audit verify --public-key <file with it>')
  return EXIT.ok
}

function keyNameOf(id: string): string {
  try {
    return checkpointKeyName(parseSpiffeId(id))
  } catch (cause: unknown) {
    throw usageFailure(`the id of the controller "${id}" is not a SPIFFE ID`, cause, 'give it with --controller-id')
  }
}
