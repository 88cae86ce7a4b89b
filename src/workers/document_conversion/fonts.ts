// The faces for text: Noto Sans from its package, and Courier, which every PDF reader has, for code in ASCII.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { ParsedFont, PDFDocument } from 'pdfkit'
import { STYLE, type Style } from './blocks.ts'

type Face = keyof typeof FILES | keyof typeof BUILT_IN

const PACKAGE = '@expo-google-fonts/noto-sans'
const FILES = {
  regular: '400Regular/NotoSans_400Regular.ttf',
  bold: '700Bold/NotoSans_700Bold.ttf',
  italic: '400Regular_Italic/NotoSans_400Regular_Italic.ttf',
  boldItalic: '700Bold_Italic/NotoSans_700Bold_Italic.ttf',
} as const
const BUILT_IN = {
  mono: 'Courier',
  monoBold: 'Courier-Bold',
  monoItalic: 'Courier-Oblique',
  monoBoldItalic: 'Courier-BoldOblique',
} as const
const ASCII = /^[\u0020-\u007e]*$/

/** The face for a text in a style. */
export function faceFor(style: Style, text: string): Face {
  const slant = ((style & STYLE.bold) === 0 ? 0 : 1) + ((style & STYLE.italic) === 0 ? 0 : 2)
  const mono = (style & STYLE.code) !== 0 && ASCII.test(text)
  const faces: readonly Face[] = mono
    ? ['mono', 'monoBold', 'monoItalic', 'monoBoldItalic']
    : ['regular', 'bold', 'italic', 'boldItalic']
  return faces[slant] ?? 'regular'
}

export type Fonts = {
  /** Makes a face the current one of the document. */
  readonly use: (face: Face) => void
  /** Whether a face has the character. */
  readonly has: (face: Face, codePoint: number) => boolean
}

// Parsed once for each thread: parsing takes longer than drawing a page.
const parsed = new Map<Face, ParsedFont>()
const packages = createRequire(import.meta.url)

export function createFonts(document: PDFDocument): Fonts {
  const known = new Set<Face>()
  let current: Face | undefined
  const use = (face: Face): void => {
    if (face === current) return
    current = face
    if (!known.has(face)) {
      known.add(face)
      document.registerFont(face, sourceOf(face))
    }
    document.font(face)
    if (face in FILES) parsed.set(face, document._font.font)
  }
  return {
    use,
    has(face, codePoint) {
      if (face in BUILT_IN) return codePoint < 0x7f
      use(face)
      return parsed.get(face)?.hasGlyphForCodePoint(codePoint) ?? false
    },
  }
}

function sourceOf(face: Face): string | Uint8Array | ParsedFont {
  if (isBuiltIn(face)) return BUILT_IN[face]
  const font = parsed.get(face)
  // A font remembers for each glyph the character it was first drawn for. That must not reach the next document:
  // a font that stores it elsewhere is parsed again.
  if (font?._glyphs !== undefined) {
    font._glyphs = {}
    return font
  }
  return readFileSync(packages.resolve(`${PACKAGE}/${FILES[face]}`))
}

function isBuiltIn(face: Face): face is keyof typeof BUILT_IN {
  return face in BUILT_IN
}
