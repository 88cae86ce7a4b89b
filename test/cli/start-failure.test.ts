// What a process that cannot start says.
import { expect, test } from 'vitest'
import { startFailure } from '../../src/cli/start-failure.ts'

test('names what ended the start, not what failed to close after it', () => {
  const first = new Error('audit file /x is in use')
  const thrown = new SuppressedError(new Error('close failed'), new SuppressedError(new Error('another'), first))
  const failure = startFailure('the controller', thrown)
  expect(failure).toMatchObject({ message: expect.stringContaining('the controller cannot start') })
  expect((failure as Error).message).toContain('audit file /x is in use')
})

test('passes a fault of the program on', () => {
  const fault = new TypeError('x is not a function')
  expect(startFailure('the controller', fault)).toBe(fault)
})
