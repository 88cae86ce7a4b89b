// Registers the worker as a real worker does.
import { readFile } from 'node:fs/promises'
import { Pool } from 'undici'
import type { RegisterBody } from '../../src/core/wire.ts'

export const HELLO = {
  verb: 'invoke',
  name: 'hello_world',
  version: '1.0.0',
  input_schema: { type: 'object' },
  output_schema: { type: 'object' },
}

/**
 * Registers the echo worker on `workerPort` at the server on `port`. @throws {Error} with the answer when it is
 * refused
 */
export async function registerWorker({
  port,
  workerPort,
  identity,
  capabilities = [HELLO],
}: {
  port: number
  workerPort: number
  identity: NodeJS.ProcessEnv
  capabilities?: readonly (typeof HELLO)[]
}): Promise<void> {
  const read = (variable: string): Promise<Buffer> => readFile(identity[variable] ?? '')
  const connect = {
    cert: await read('CRANK_TLS_CERT'),
    key: await read('CRANK_TLS_KEY'),
    ca: await read('CRANK_TLS_BUNDLE'),
  }
  const body: RegisterBody = {
    worker_id: 'worker-hello-world',
    worker_url: `https://127.0.0.1:${workerPort}`,
    capabilities: [...capabilities],
  }
  const pool = new Pool(`https://127.0.0.1:${port}`, { connect, allowH2: false })
  try {
    const headers = { 'content-type': 'application/json' }
    const answer = await pool.request({ path: '/register', method: 'POST', headers, body: JSON.stringify(body) })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`the worker was not registered: ${answer.statusCode} ${text}`)
  } finally {
    await pool.close()
  }
}
