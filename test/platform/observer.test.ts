import { once } from 'node:events'
import { expect, test } from 'vitest'
import { asObserver } from '../../src/platform/observer.ts'

test('an observer that throws is a warning of the process, once, and its caller goes on', async () => {
  const counted: number[] = []
  const { broken, works } = asObserver({
    broken: () => {
      throw new Error('no such label')
    },
    works: (count: number) => counted.push(count),
  })
  const warned = once(process, 'warning')
  expect(broken).not.toThrow()
  expect(broken).not.toThrow()
  works(3)
  expect(counted).toEqual([3])
  expect(await warned).toMatchObject([{ name: 'ObserverWarning', message: 'broken: no such label' }])
})
