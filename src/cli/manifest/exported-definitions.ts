// Finds the workers that a module defines: distinguishes definitions from other exports, even from another copy of the
// runtime.
import type { CapabilityDefinition, WorkerDefinition } from '../../worker/define.ts'

/** The definitions that a module exports, alone or in a list, without duplicates. */
export function exportedDefinitions(module: Readonly<Record<string, unknown>>): WorkerDefinition[] {
  return [...new Set(Object.values(module).flat().filter(looksLikeDefinition))]
}

/**
 * Checks the shape: `isWorkerDefinition` knows only those of its own copy, which alone can run them. Here they are
 * only read.
 */
export function looksLikeDefinition(value: unknown): value is WorkerDefinition {
  const { id, capabilities, requires } = (value ?? {}) as Partial<Record<keyof WorkerDefinition, unknown>>
  return (
    typeof id === 'string' && isTextList(requires) && Array.isArray(capabilities) && capabilities.every(isCapability)
  )
}

function isCapability(value: unknown): boolean {
  const { capability, handler } = (value ?? {}) as Partial<Record<keyof CapabilityDefinition, unknown>>
  return typeof capability === 'string' && typeof handler === 'function'
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
