// pdfkit ships no types; these cover what is used. https://pdfkit.org/docs
declare module 'pdfkit' {
  import type { Readable } from 'node:stream'

  /** A parsed font. pdfkit accepts it instead of the bytes of a font file, for any number of documents. */
  type ParsedFont = { hasGlyphForCodePoint(codePoint: number): boolean; _glyphs?: object }
  type PdfPicture = { readonly width: number; readonly height: number; readonly orientation?: number }

  export class PDFDocument extends Readable {
    constructor(options: {
      size: 'a4' | 'letter'
      margin: number
      autoFirstPage: boolean
      font: null
      info: Record<string, string | Date>
      lang?: string
    })
    readonly info: { Title?: string; CreationDate?: Date }
    readonly page: { readonly width: number; readonly height: number }
    /** Undocumented: the current font. `font` is present for embedded fonts. */
    readonly _font: { readonly font: ParsedFont; readonly ascender: number }
    addPage(): this
    font(source: string | Uint8Array | ParsedFont, family?: string): this
    registerFont(name: string, source: string | Uint8Array | ParsedFont): this
    fontSize(points: number): this
    widthOfString(text: string): number
    text(text: string, x: number, y: number, options: TextOptions): this
    fillColor(color: string): this
    strokeColor(color: string): this
    lineWidth(points: number): this
    rect(x: number, y: number, width: number, height: number): this
    moveTo(x: number, y: number): this
    lineTo(x: number, y: number): this
    fill(color?: string): this
    stroke(color?: string): this
    openImage(bytes: Uint8Array): PdfPicture
    image(picture: PdfPicture, x: number, y: number, options: { width: number; height: number }): this
    /** Adds content stream operators unchanged. */
    addContent(operators: string): this
    save(): this
    restore(): this
    end(): void
  }

  type TextOptions = { lineBreak: false; underline?: boolean; strike?: boolean; baseline?: 'alphabetic' }
}
