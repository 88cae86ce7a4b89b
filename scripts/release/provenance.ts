// Where a release comes from: an in-toto statement (v1) with the SLSA provenance predicate (slsa.dev/provenance/v1). Signed, it is
// in a DSSE envelope (github.com/secure-systems-lab/dsse).
import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto'
import type { ReleaseSource } from './make-release.ts'

type Subject = { readonly name: string; readonly digest: { readonly sha256: string } }
type ProvenanceFacts = Omit<ReleaseSource, 'root'> & {
  readonly subjects: readonly Subject[]
  readonly builder: string
  readonly lockSha256: string
  readonly startedOn: string
  readonly finishedOn: string
}

const PAYLOAD_TYPE = 'application/vnd.in-toto+json'

/** The statement. It says what the builder claims; only a signature proves that it was this builder. */
export function provenanceOf(facts: ProvenanceFacts) {
  const { subjects, builder, commit, repository, lockSha256, sourceDateEpoch, startedOn, finishedOn } = facts
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: subjects,
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'urn:crank:build:npm-run-release:v1',
        externalParameters: { commit, ...(repository !== '' && { repository }) },
        internalParameters: { node: process.version, source_date_epoch: sourceDateEpoch },
        resolvedDependencies: [
          { ...(repository !== '' && { uri: `git+${repository}` }), name: 'source', digest: { gitCommit: commit } },
          { name: 'package-lock.json', digest: { sha256: lockSha256 } },
        ],
      },
      runDetails: { builder: { id: builder }, metadata: { startedOn, finishedOn } },
    },
  }
}

/** A statement in a DSSE envelope. `keyid`: SHA-256 of the public key (SPKI, DER). @param pem a private key */
export function signedStatement(statement: object, pem: string) {
  const key = createPrivateKey(pem)
  const payload = Buffer.from(JSON.stringify(statement))
  const signature = sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', preAuthEncoding(payload), key)
  const keyid = hash('sha256', createPublicKey(key).export({ type: 'spki', format: 'der' }))
  return {
    payloadType: PAYLOAD_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid, sig: signature.toString('base64') }],
  }
}

/** What is signed. */
export function preAuthEncoding(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `), payload])
}
