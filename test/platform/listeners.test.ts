import { expect, test } from 'vitest'
import { createListeners } from '../../src/platform/listeners.ts'

function listening() {
  const thrown: unknown[] = []
  const heard: string[] = []
  const listeners = createListeners<[string]>((cause) => thrown.push(cause))
  const hear = (who: string) => (what: string) => void heard.push(`${who} ${what}`)
  return { listeners, thrown, heard, hear }
}

test('all listeners hear of a change, in the order in which they came', () => {
  const { listeners, heard, hear } = listening()
  listeners.add(hear('a'))
  listeners.add(hear('b'))
  listeners.notify('x')
  expect(heard).toEqual(['a x', 'b x'])
})

test('one that throws stops neither the others nor who reports the change', () => {
  const { listeners, heard, thrown, hear } = listening()
  const fault = new Error('not my day')
  listeners.add(() => {
    throw fault
  })
  listeners.add(hear('b'))
  listeners.notify('x')
  expect([heard, thrown]).toEqual([['b x'], [fault]])
})

test('one that was removed is not called, even when another one removes it in the same change', () => {
  const { listeners, heard, hear } = listening()
  const removers: (() => void)[] = []
  listeners.add(() => removers.forEach((remove) => remove()))
  removers.push(listeners.add(hear('b')))
  listeners.notify('x')
  expect(heard).toEqual([])
})

test('one that comes during a change hears of the next', () => {
  const { listeners, heard, hear } = listening()
  const remove = listeners.add(() => {
    remove()
    listeners.add(hear('late'))
  })
  listeners.notify('x')
  listeners.notify('y')
  expect(heard).toEqual(['late y'])
})

test('the same function that was added twice is removed once', () => {
  const { listeners, heard, hear } = listening()
  const same = hear('a')
  const remove = listeners.add(same)
  listeners.add(same)
  remove()
  remove()
  listeners.notify('x')
  expect(heard).toEqual(['a x'])
})
