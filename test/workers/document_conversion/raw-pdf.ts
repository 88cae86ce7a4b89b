// A PDF of one page, written by hand: what no library would write can be tried.
import { deflateSync } from 'node:zlib'

/** `content`: of the page's stream, as it stands in the file; `dictionary`: what is said of it; `annotations`: of the page. */
export function rawPdf(content: Buffer, dictionary = '/Filter /FlateDecode', catalog = '', annotations = ''): Buffer {
  const objects = [
    Buffer.from(`<< /Type /Catalog /Pages 2 0 R ${catalog} >>`),
    Buffer.from('<< /Type /Pages /Kids [3 0 R] /Count 1 >>'),
    Buffer.from(
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Annots [${annotations}] /Contents 4 0 R ` +
        '/Resources << /Font << /F1 5 0 R >> >> >>',
    ),
    Buffer.concat([
      Buffer.from(`<< /Length ${content.length} ${dictionary} >>\nstream\n`),
      content,
      Buffer.from('\nendstream'),
    ]),
    Buffer.from('<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>'),
  ]
  let file = Buffer.from('%PDF-1.4\n')
  const offsets = objects.map((object, index) => {
    const offset = file.length
    file = Buffer.concat([file, Buffer.from(`${index + 1} 0 obj\n`), object, Buffer.from('\nendobj\n')])
    return `${String(offset).padStart(10, '0')} 00000 n \n`
  })
  const table = `xref\n0 6\n0000000000 65535 f \n${offsets.join('')}`
  const end = `trailer << /Size 6 /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF`
  return Buffer.concat([file, Buffer.from(table), Buffer.from(end)])
}

/** What shows a text, in PDF's own words. */
export function showing(text: string, times = 1): Buffer {
  return deflateSync(`BT /F1 12 Tf 50 700 Td (${text}) Tj ET `.repeat(times))
}
