// Labels in a header: `key=value, key=value`.
import { AppError } from '../../core/errors.ts'
import { LABEL_WORD, MAX_LABELS } from '../../core/wire.ts'

export type Labels = readonly (readonly [name: string, value: string])[]

const WORD = new RegExp(LABEL_WORD)

/** Parses the value of a header. @throws {AppError} `request_invalid` that names the header */
export function parseLabelHeader(header: string, value: string): Record<string, string> {
  const labels = new Map<string, string>()
  for (const part of value.split(',')) {
    const [name = '', word = '', ...rest] = part.trim().split('=')
    if (rest.length > 0 || !WORD.test(name) || !WORD.test(word)) {
      throw new AppError('request_invalid', `${header} must be labels such as "zone=eu, gpu=yes"`)
    }
    if (labels.has(name)) throw new AppError('request_invalid', `${header} has the label ${name} twice`)
    labels.set(name, word)
  }
  if (labels.size > MAX_LABELS)
    throw new AppError('request_invalid', `${header} must have at most ${MAX_LABELS} labels`)
  return Object.fromEntries(labels)
}
