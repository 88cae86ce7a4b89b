// Opens a listener, with a clear message for the operator if its port is in use.
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
    const cure = `stop the process that uses it, or set ${variable} to another port (0: any free port)`
    throw new ConfigError([`${variable}="${port}": port ${port} on ${host} is in use; ${cure}`])
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
