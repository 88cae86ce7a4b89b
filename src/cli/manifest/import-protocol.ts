// What the process that imports definitions is given, and what it sends back.
import type { Place } from './fault.ts'

/** Paths are absolute. `stateDir`: what workers of the registry get as theirs; no folder, and it cannot be made. */
export type ImportTask = {
  readonly files: readonly string[]
  readonly registry: string | undefined
  readonly stateDir: string
}

/** `place`: where defineWorker was called, as far as the stack says. */
export type ImportedWorker = {
  readonly id: string
  readonly provided: readonly string[]
  readonly requires: readonly string[]
  readonly place: Place
}

/** An error, as much as can be sent; `cause` is the next one of its chain. */
export type SentError = {
  readonly name: string
  readonly message: string
  readonly stack: string
  readonly code?: string | undefined
  /** Of ERR_ACCESS_DENIED. */
  readonly permission?: string | undefined
  readonly resource?: string | undefined
  readonly cause?: SentError | undefined
}

export type ImportMessage =
  /** `file` is imported next; `worker`: the one that the registry makes. */
  | { readonly kind: 'begin'; readonly file: string; readonly worker?: string | undefined }
  | { readonly kind: 'worker'; readonly worker: ImportedWorker }
  /** Defined, and neither exported nor made by the registry. */
  | { readonly kind: 'unexported'; readonly worker: ImportedWorker }
  /** `addon`: the native addon that was to be loaded before the error, which may not say so. */
  | {
      readonly kind: 'failed'
      readonly file: string
      readonly worker?: string | undefined
      readonly error: SentError
      readonly addon?: string | undefined
    }
  | { readonly kind: 'no-registry'; readonly file: string }
  | { readonly kind: 'done' }
