// Errors of the admin listener: the same problem bodies as on the
// mTLS listener, but without ids, since nothing is decided here.
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import { AppError } from '../../core/errors.ts'
import { appErrorOf } from '../edge/problem.ts'
import { unrouted } from '../edge/unrouted.ts'

const TYPE = 'application/problem+json; charset=utf-8'
const FAULTS: Readonly<Partial<Record<string, AppError>>> = {
  HPE_HEADER_OVERFLOW: new AppError('headers_too_large'),
  ERR_HTTP_REQUEST_TIMEOUT: new AppError('request_timeout'),
}

/** Options of the Fastify instance: they replace the answers of Node's parser and of Fastify's router. */
export const adminErrorOptions = {
  frameworkErrors: (error: FastifyError, _request: unknown, reply: unknown): void => {
    void send(reply as FastifyReply, appErrorOf(error))
  },
  clientErrorHandler: ({ code }: Error & { code?: string }, socket: Socket): void => {
    const error = FAULTS[code ?? ''] ?? new AppError('request_invalid', 'the bytes are not an HTTP/1.1 request')
    if (!socket.writable || code === 'ECONNRESET') {
      socket.destroy()
      return
    }
    const { status } = error.kind
    const body = JSON.stringify(bodyOf(error))
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\ncontent-type: ${TYPE}\r\n`
    socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => socket.destroy())
  },
}

/** Error handler, 404 that names `paths`, 405 with `Allow`. Call it before the routes are registered. */
export async function handleAdminErrors(app: FastifyInstance, paths: string): Promise<void> {
  app.setErrorHandler<FastifyError | AppError>((thrown, _request, reply) => send(reply, appErrorOf(thrown)))
  app.setNotFoundHandler(() => {
    throw new AppError('not_found') // Never reached: `unrouted` refuses the request first.
  })
  await app.register(unrouted, { hint: `; this listener serves ${paths}` })
}

async function send(reply: FastifyReply, error: AppError): Promise<FastifyReply> {
  return reply.code(error.kind.status).type(TYPE).serializer(JSON.stringify).send(bodyOf(error))
}

function bodyOf({ code, message, kind: { title, status } }: AppError): object {
  return { type: `urn:crank:error:${code}`, title, status, detail: message, error: code, reason: message }
}
