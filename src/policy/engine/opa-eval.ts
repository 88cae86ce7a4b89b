// On the path of every call. One evaluation by an instance of OPA's wasm. The library's own `evaluate` makes an encoder's copy of
// the input, a view of the memory and a decoder for each call; here texts are written to and read from the memory directly.
import type { LoadedPolicy } from '@open-policy-agent/opa-wasm'

/** What LoadedPolicy has beside its methods; its types name some of it with types of the DOM library. */
type Instance = {
  readonly mem: { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number }
  readonly dataAddr: number
  readonly dataHeapPtr: number
  readonly entrypoints: Readonly<Record<string, number>>
  readonly wasmInstance: { readonly exports: { readonly opa_eval: OpaEval } }
}
/** ABI 1.2: https://www.openpolicyagent.org/docs/wasm#opa_eval. Returns the address of the result, as JSON that ends in a zero. */
type OpaEval = (
  reserved: 0,
  entrypoint: number,
  data: number,
  input: number,
  inputLength: number,
  heap: number,
  format: 0,
) => number

/** Evaluates `entrypoint` with an input given as JSON text. @throws what the wasm throws: its memory is then in an unknown state */
export type Evaluate = (input: string, entrypoint: string) => unknown

const PAGE_BYTES = 65_536
/** UTF-8 of one UTF-16 unit. */
const MAX_UNIT_BYTES = 3

export function createEvaluate(loaded: LoadedPolicy): Evaluate {
  const { mem, dataAddr, dataHeapPtr: start, entrypoints, wasmInstance } = loaded as unknown as Instance
  const { opa_eval: evaluate } = wasmInstance.exports
  let memory = Buffer.from(mem.buffer)

  /** A memory that has grown is another buffer. */
  function current(): Buffer {
    if (memory.buffer !== mem.buffer) memory = Buffer.from(mem.buffer)
    return memory
  }

  return (input, name) => {
    const entrypoint = entrypoints[name]
    if (entrypoint === undefined) throw new Error(`the policy has no entrypoint ${name}`)
    const missing = start + input.length * MAX_UNIT_BYTES - mem.buffer.byteLength
    if (missing > 0) mem.grow(Math.ceil(missing / PAGE_BYTES))
    const length = current().write(input, start)
    const result = evaluate(0, entrypoint, dataAddr, start, length, start + length, 0)
    const bytes = current()
    return JSON.parse(bytes.toString('utf8', result, bytes.indexOf(0, result))) as unknown
  }
}
