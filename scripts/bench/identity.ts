// Certificate, key and bundle of a process of the bench.
import { readFileSync } from 'node:fs'
import Type, { type Static } from 'typebox'
import { loadConfig } from '../../src/platform/env.ts'

export const FileEnv = Type.Object({
  CRANK_TLS_CERT: Type.String(),
  CRANK_TLS_KEY: Type.String(),
  CRANK_TLS_BUNDLE: Type.String(),
})

export type Identity = { readonly cert: Buffer; readonly key: Buffer; readonly ca: Buffer }

/** By default that of the environment. */
export function readIdentity(files: Static<typeof FileEnv> = loadConfig(FileEnv, { env: process.env })): Identity {
  return {
    cert: readFileSync(files.CRANK_TLS_CERT),
    key: readFileSync(files.CRANK_TLS_KEY),
    ca: readFileSync(files.CRANK_TLS_BUNDLE),
  }
}
