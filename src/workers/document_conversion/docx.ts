// DOCX to HTML with mammoth, which receives only parts that were unpacked within limits.
import mammoth from 'mammoth'
import { sayDocxLosses } from './docx-losses.ts'
import { isDecided, usualPrefix } from './docx-names.ts'
import { ConversionFault } from './task.ts'
import type { Warnings } from './warnings.ts'
import { unzip, zipStored } from './zip.ts'

/** The parts that mammoth reads. An embedded style map is not among them: it could change the HTML. */
const PART = /^(?:\[Content_Types\]\.xml|_rels\/\.rels|word\/[^/]{1,128}\.xml|word\/_rels\/[^/]{1,128}\.rels)$/
const MEDIA = /^word\/media\/[^/]{1,128}\.(?:png|jpe?g)$/i

/** @throws {ConversionFault} INVALID_FORMAT, CORRUPT_DOCUMENT, LIMIT_EXCEEDED */
export async function docxToHtml(bytes: Uint8Array<ArrayBuffer>, warnings: Warnings): Promise<string> {
  const names: string[] = []
  const parts = unzip(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), (name) => {
    names.push(name)
    return PART.test(name) || MEDIA.test(name)
  })
  if (!parts.some(({ name }) => name === '[Content_Types].xml')) {
    throw new ConversionFault('INVALID_FORMAT', 'document_data is a ZIP file, but not docx')
  }
  try {
    const { value, messages } = await mammoth.convertToHtml(
      { buffer: zipStored(parts) },
      // Underlines are left out by default.
      { externalFileAccess: false, includeEmbeddedStyleMap: false, styleMap: ['u => u'] },
    )
    sayDocxLosses(names, parts, warnings)
    // Errors are pictures that could not be read: sayDocxLosses reports them.
    for (const { type, message } of messages) if (type === 'warning') sayMessage(message, warnings)
    return value
  } catch (cause: unknown) {
    // A stack overflow is passed on: the caller distinguishes it from damage.
    if (cause instanceof RangeError) throw cause
    throw new ConversionFault('CORRUPT_DOCUMENT', 'the document is damaged: its parts do not fit together', { cause })
  }
}

/**
 * Mammoth's names for styles that it draws plainly, and for pictures, which sayDocxLosses reports with their places.
 */
const SAID_ELSEWHERE = /style|image|a:blip|v:imagedata/i

// Messages quote the document, so none is passed on.
function sayMessage(message: string, warnings: Warnings): void {
  const element = /^An unrecognised element was ignored: (.*)$/.exec(message)?.[1]
  if (element !== undefined) {
    const [, uri = '', local = ''] = /^\{(.*)\}(.*)$/.exec(element) ?? []
    const name = uri === '' ? element : `${usualPrefix(uri) ?? '?'}:${local}`
    if (!isDecided(name)) warnings.leftOut('other')
  } else if (message.includes('w:sym')) warnings.leftOut('characters')
  else if (!SAID_ELSEWHERE.test(message)) warnings.add('CONTENT_SIMPLIFIED')
}
