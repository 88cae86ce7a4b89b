// The services of the stack that keep running, and what is in their images.
import { expect } from 'vitest'
import { service, together } from '../docker/compose.ts'

export const SERVERS = ['alertmanager', 'alloy', 'grafana', 'jaeger', 'loki', 'prometheus', 'tempo']

// From each Dockerfile: the user, the folder that belongs to that user, and what a health check can run.
const IMAGES = {
  'jaegertracing/jaeger:2.20.0': { uid: 10001, data: undefined, tools: ['wget', '/bin/sh'] },
  'grafana/tempo:3.0.3': { uid: 10001, data: '/var/tempo', tools: ['/tempo'] },
  'prom/prometheus:v3.14.0': { uid: 65534, data: '/prometheus', tools: ['wget'] },
  'prom/alertmanager:v0.34.1': { uid: 65534, data: '/alertmanager', tools: ['wget'] },
  'grafana/loki:3.7.6': { uid: 10001, data: '/loki', tools: ['/usr/bin/loki'] },
  // Alloy runs as root; its folder belongs to uid 473.
  'grafana/alloy:v1.18.1': { uid: 0, data: '/var/lib/alloy/data', tools: ['bash'] },
  'grafana/grafana:13.1.3': { uid: 472, data: '/var/lib/grafana', tools: ['wget', 'bash'] },
} as const

/** What is in the image of a service. A version that is not in the table fails the test: look at its Dockerfile first. */
export function imageOf(name: string): (typeof IMAGES)[keyof typeof IMAGES] {
  const { image } = service(name, together)
  return isKnown(image) ? IMAGES[image] : expect.fail(`${image} is not in the table of images.ts`)
}

function isKnown(image: string): image is keyof typeof IMAGES {
  return image in IMAGES
}
