// Opens a listener, with a sentence for the operator where its port is taken.
import type { Server } from 'node:net'
import { ConfigError } from '../../platform/env.ts'

type Listener = {
  listen: (at: { host: string; port: number }) => Promise<string>
  server: { address: Server['address'] }
}

/** Resolves to the port. `variable`: the setting that names it. @throws {ConfigError} when the port is in use */
export async function listen(
  app: Listener,
  { host, port }: { host: string; port: number },
  variable: string,
): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (cause: unknown) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
    const cure = `stop what uses it, or choose another with ${variable} (0 takes a free one)`
    throw new ConfigError([`${variable}="${port}": port ${port} on ${host} is in use; ${cure}`])
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
