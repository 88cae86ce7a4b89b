// The memory of a wasm instance with its data: built where nothing waits for it, then copied into an instance that decides.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { loadPolicy, type LoadedPolicy } from '@open-policy-agent/opa-wasm'

/** `pages`: the size of the memory; `bytes`: its used part. The rest are the addresses that the library keeps beside it. */
export type PolicyImage = {
  readonly pages: number
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly dataAddr: number
  readonly baseHeapPtr: number
  readonly dataHeapPtr: number
}

// TypeScript declares this global only in its DOM library.
declare const WebAssembly: { compile(bytes: Uint8Array): Promise<object> }

/** What LoadedPolicy has beside its methods; its types name some of it with types of the DOM library. */
type Addressed = {
  readonly mem: { readonly buffer: ArrayBuffer }
  readonly dataAddr: number
  readonly baseHeapPtr: number
  readonly dataHeapPtr: number
}

/** 256 MiB */
export const MAX_PAGES = 4096
const PAGE_BYTES = 65_536
/** What is copied in one turn of the event loop: less than a millisecond. */
const SLICE_BYTES = 1024 * 1024

export function compileWasm(wasm: Uint8Array): Promise<object> {
  return WebAssembly.compile(wasm)
}

/** `data`: the JSON text of the whole document. Takes as long as parsing the data does. */
export async function buildImage(wasm: Uint8Array, data: Uint8Array, maxPages = MAX_PAGES): Promise<PolicyImage> {
  const loaded = await loadPolicy(await compileWasm(wasm), { initial: 5, maximum: maxPages })
  // The library wants an ArrayBuffer of its own.
  loaded.setData(new Uint8Array(data).buffer)
  const { mem, dataAddr, baseHeapPtr, dataHeapPtr } = loaded as unknown as Addressed
  const bytes = new Uint8Array(mem.buffer.slice(0, dataHeapPtr))
  return { pages: mem.buffer.byteLength / PAGE_BYTES, bytes, dataAddr, baseHeapPtr, dataHeapPtr }
}

/** A fresh instance of the same wasm with the data of `image`. Other work goes on while it is copied. */
export async function openImage(module: object, image: PolicyImage, maxPages: number): Promise<LoadedPolicy> {
  const { pages, bytes, dataAddr, baseHeapPtr, dataHeapPtr } = image
  const loaded = await loadPolicy(module, { initial: pages, maximum: maxPages })
  const memory = new Uint8Array((loaded as unknown as Addressed).mem.buffer)
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    memory.set(bytes.subarray(at, at + SLICE_BYTES), at)
    await nextTurn()
  }
  return Object.assign(loaded, { dataAddr, baseHeapPtr, dataHeapPtr })
}
