// On the path of every call. Hands the chain of a call to the worker that executes it, and reads it from the calls that the
// worker makes on behalf of that call.
import type { KeyObject } from 'node:crypto'
import { MAX_CALL_DEPTH, newChain, type CallChain } from '../../core/call-chain.ts'
import { AppError } from '../../core/errors.ts'
import type { SpiffeId } from '../../core/spiffe-id.ts'
import { HEADERS } from '../../core/wire.ts'
import { readToken, signToken, type TokenFault } from './chain-token.ts'

export type CallChains = {
  /** The value of x-crank-chain for a worker that may call on behalf of this call for `validMs` from now. */
  readonly handOn: (call: HandedOn, worker: SpiffeId, validMs: number) => string
  /**
   * The chain of a call with this value of x-crank-chain. Without the header the call begins a chain.
   * @throws {AppError} `request_invalid` for a token that is not valid now and from this caller; `loop_detected`
   */
  readonly read: (header: string | undefined, caller: SpiffeId) => CallChain
}

type HandedOn = { readonly decisionId: string; readonly chain: CallChain }

/** The first key signs, each of them verifies; there is at least one. `now`: Unix ms. */
type CallChainsDeps = { readonly keys: () => readonly [KeyObject, ...KeyObject[]]; readonly now: () => number }

const FAULTS: Readonly<Record<TokenFault, string>> = {
  repeated: 'was sent more than once; send the value that came with the call, once',
  malformed: 'is malformed; send the value that came with the call, unchanged',
  unknown_version: 'has a version that this controller does not know; send the value that came with the call',
  forged: 'was not made by this mesh, or was changed; send the value that came with the call, unchanged',
}

export function createCallChains({ keys, now }: CallChainsDeps): CallChains {
  return {
    handOn({ decisionId, chain: { origin, depth } }, worker, validMs) {
      return signToken({ origin, depth, decisionId, worker, deadlineMs: now() + validMs }, keys()[0])
    },
    read(header, caller) {
      if (header === undefined) return newChain(caller)
      const token = readToken(header, keys())
      if (typeof token === 'string') throw refused(FAULTS[token])
      if (token.worker !== caller) throw refused('was handed to another identity; only that identity may send it')
      if (now() >= token.deadlineMs) throw refused('has expired: the call that it belongs to is past its deadline')
      const depth = token.depth + 1
      if (depth >= MAX_CALL_DEPTH) throw tooDeep(token)
      return { origin: token.origin, depth, onBehalfOf: token.decisionId }
    },
  }
}

function refused(why: string): AppError {
  return new AppError('request_invalid', `${HEADERS.chain} ${why}`)
}

function tooDeep({ origin, decisionId }: { readonly origin: SpiffeId; readonly decisionId: string }): AppError {
  const where = `the chain of calls that ${origin} began`
  return new AppError('loop_detected', `${where} has ${MAX_CALL_DEPTH} calls already, the last one is ${decisionId}`)
}
