// Receives spans by OTLP/gRPC and discards them without decoding: a collector with minimal cost. A process of the
// bench.
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js'
import { reportReady } from './child.ts'

const NOTHING = Buffer.alloc(0)
const asBuffer = (bytes: Buffer): Buffer => bytes
const service: ServiceDefinition = {
  Export: {
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    requestStream: false,
    responseStream: false,
    requestSerialize: asBuffer,
    requestDeserialize: asBuffer,
    responseSerialize: asBuffer,
    responseDeserialize: asBuffer,
  },
}

const server = new Server()
server.addService(service, {
  Export: (_call: unknown, done: (error: null, answer: Buffer) => void) => done(null, NOTHING),
})
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error
  reportReady(port)
})
