// Opens a listener, with a clear message for the operator if its port is in use.
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { ConfigError } from '../../platform/setting-fault.ts'

type At = { readonly host: string; readonly port: number }
type Listener = {
  listen: (at: At & { readonly reusePort: boolean }) => Promise<string>
  server: { address: Server['address'] }
}

/** `isShared`: the other processes of this controller listen on the same port. */
type ListenOptions = { readonly variable: string; readonly isShared: boolean }

/** Resolves to the port. `variable`: the setting that names it. @throws {ConfigError} when the port is in use */
export async function listen(app: Listener, at: At, { variable, isShared }: ListenOptions): Promise<number> {
  await app.listen({ ...at, reusePort: isShared }).catch((cause: unknown) => refuseInUse(at, variable, cause))
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/**
 * Processes that share a port would share it with any other process of the same user: this finds one before they start.
 * @throws {ConfigError} when the port is in use
 */
export async function refuseUsedPort(at: At, variable: string): Promise<void> {
  if (at.port === 0) return
  const server = createServer()
  try {
    await once(server.listen(at), 'listening')
  } catch (cause: unknown) {
    refuseInUse(at, variable, cause)
  }
  server.close()
  await once(server, 'close')
}

function refuseInUse({ host, port }: At, variable: string, cause: unknown): never {
  if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
  const cure = `stop the process that uses it, or set ${variable} to another port (0: any free port)`
  throw new ConfigError([`${variable}="${port}": port ${port} on ${host} is in use; ${cure}`])
}
