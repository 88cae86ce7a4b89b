// Reads PEM files as spiffe-helper, cert-manager and openssl write them: certificates, in order, with any text in between.
import { X509Certificate } from 'node:crypto'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** The certificate blocks of a text, in order, each ending in a line feed. */
export function certificateBlocks(text: string): string[] {
  return (text.match(CERTIFICATE) ?? []).map((block) => `${block}\n`)
}

/** Parses the certificates of a file. @throws {Error} naming the file and the number of the broken one */
export function parseCertificates(blocks: readonly string[], file: string): X509Certificate[] {
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch (cause: unknown) {
      throw new Error(`${file}: certificate ${index + 1} cannot be parsed; write the file again`, { cause })
    }
  })
}
