// DOCX to HTML with mammoth, which is given only parts that have been unpacked within limits.
import mammoth from 'mammoth'
import { ConversionFault } from './task.ts'
import type { Warnings } from './warnings.ts'
import { unzip, zipStored } from './zip.ts'

/** What mammoth reads. A style map inside the document would have a say in the HTML: it is not among them. */
const PART = /^(?:\[Content_Types\]\.xml|_rels\/\.rels|word\/[^/]{1,128}\.xml|word\/_rels\/[^/]{1,128}\.rels)$/
const MEDIA = /^word\/media\/[^/]{1,128}\.(?:png|jpe?g)$/i

/** @throws {ConversionFault} INVALID_FORMAT, CORRUPT_DOCUMENT, LIMIT_EXCEEDED */
export async function docxToHtml(bytes: Uint8Array<ArrayBuffer>, warnings: Warnings): Promise<string> {
  const parts = unzip(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), (name) => {
    return PART.test(name) || MEDIA.test(name)
  })
  if (!parts.some(({ name }) => name === '[Content_Types].xml')) {
    throw new ConversionFault('INVALID_FORMAT', 'document_data is a ZIP file, but not docx')
  }
  try {
    const { value, messages } = await mammoth.convertToHtml(
      { buffer: zipStored(parts) },
      { externalFileAccess: false, includeEmbeddedStyleMap: false },
    )
    // Messages quote the document: their number says enough.
    if (messages.length > 0) warnings.add('CONTENT_SIMPLIFIED', { count: messages.length })
    return value
  } catch (cause: unknown) {
    // Too deep for the stack: the caller of this tells that from damage.
    if (cause instanceof RangeError) throw cause
    throw new ConversionFault('CORRUPT_DOCUMENT', 'the document is damaged: its parts do not fit together', { cause })
  }
}
