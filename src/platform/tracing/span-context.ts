// The active span of an asynchronous call chain, for log lines and for workers' own spans. The hot path does not use it: it
// passes the parent explicitly.
import { AsyncLocalStorage } from 'node:async_hooks'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import type { Context, ContextManager } from '@opentelemetry/api'

let installed = false

/** Makes `context.with` work across await, once per process; an existing context manager stays. */
export function useAsyncContext(): void {
  if (installed) return
  installed = true
  context.setGlobalContextManager(new AsyncContext())
}

class AsyncContext implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>()

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    run: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(active, () => run.apply(thisArg, args))
  }

  bind<T>(active: Context, target: T): T {
    if (typeof target !== 'function') return target
    const run = target as (...args: unknown[]) => unknown
    return ((...args: unknown[]) => this.#storage.run(active, () => run(...args))) as T
  }

  enable(): this {
    return this
  }

  disable(): this {
    this.#storage.disable()
    return this
  }
}
