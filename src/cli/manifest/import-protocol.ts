// The input of the process that imports definitions, and its messages.
import type { Place } from './fault.ts'

/**
 * Paths are absolute. `stateDir`: the state folder for workers of the registry; it does not exist and cannot be
 * created.
 */
export type ImportTask = {
  readonly files: readonly string[]
  readonly registry: string | undefined
  readonly stateDir: string
}

/** `place`: where defineWorker was called, if the stack shows it. */
export type ImportedWorker = {
  readonly id: string
  readonly provided: readonly string[]
  readonly requires: readonly string[]
  readonly place: Place
}

/** An error in a form that can be sent; `cause` is the next one of its chain. */
export type SentError = {
  readonly name: string
  readonly message: string
  readonly stack: string
  readonly code?: string | undefined
  /** Set for ERR_ACCESS_DENIED. */
  readonly permission?: string | undefined
  readonly resource?: string | undefined
  readonly cause?: SentError | undefined
}

export type ImportMessage =
  /** `file` is imported next; `worker`: the one that the registry creates. */
  | { readonly kind: 'begin'; readonly file: string; readonly worker?: string | undefined }
  | { readonly kind: 'worker'; readonly worker: ImportedWorker }
  /** Defined, but neither exported nor created by the registry. */
  | { readonly kind: 'unexported'; readonly worker: ImportedWorker }
  /** `addon`: the native addon that was being loaded before the error, which may not name it. */
  | {
      readonly kind: 'failed'
      readonly file: string
      readonly worker?: string | undefined
      readonly error: SentError
      readonly addon?: string | undefined
    }
  | { readonly kind: 'no-registry'; readonly file: string }
  | { readonly kind: 'done' }
