// What is easily lost on the way to paper, with the values that a reader must get: exponents, merged cells, form fields.
import { describe, expect, test } from 'vitest'
import { ask, refusal, base64, shown, toPdf } from './conversions.ts'

async function mailText(html: string): Promise<string> {
  const raw_email = `From: a@example.org\r\nContent-Type: text/html; charset=utf-8\r\n\r\n${html}`
  const answer = await ask('email_to_text', { raw_email })
  return (answer.json() as { body: string }).body
}

/** Operators of the first page, as text. */
async function operators(html: string): Promise<string> {
  const { inflateSync } = await import('node:zlib')
  const pdf = Buffer.from((await toPdf(html, 'html')).converted_data, 'base64')
  const start = pdf.indexOf('stream\n') + 'stream\n'.length
  return inflateSync(pdf.subarray(start)).toString('latin1')
}

describe('raised and lowered text', () => {
  const documents: Record<string, [html: string, pdf: string, mail: string]> = {
    'a power of ten': ['10<sup>3</sup>', '10\u00b3', '10\u00b3'],
    'a negative power': ['10<sup>-7</sup> m', '10\u207b\u2077 m', '10\u207b\u2077 m'],
    'a formula': ['H<sub>2</sub>O', 'H\u2082O', 'H\u2082O'],
    'an index of letters': ['x<sub>max</sub>', 'x\u2098\u2090\u2093', 'x\u2098\u2090\u2093'],
    'letters that Unicode does not raise': ['x<sup>\u03b1+\u03b2</sup>y', 'x \u03b1+\u03b2 y', 'x^(\u03b1+\u03b2)y'],
    'letters that Unicode does not lower': ['E<sub>Max</sub>', 'E Max', 'E_(Max)'],
    'the mark of a note': ['fact<sup>[1]</sup>', 'fact[1]', 'fact[1]'],
    'one by its style': ['2<span style="vertical-align: super">8</span>', '2\u2078', '2\u2078'],
    'one in bold': ['<b>10<sup>6</sup></b>', '10\u2076', '10\u2076'],
    'one in code': ['<code>2<sup>16</sup></code>', '2\u00b9\u2076', '2\u00b9\u2076'],
    'small print': ['a<sup>this is no exponent</sup>', 'a this is no exponent', 'athis is no exponent'],
  }
  for (const [what, [html, pdf, mail]] of Object.entries(documents)) {
    test(`${what} is told from what stands on the line`, async () => {
      expect(await shown(`<p>${html}</p>`, 'html')).toBe(pdf)
      expect(await mailText(`<p>${html}</p>`)).toBe(mail)
      expect((await toPdf(`<p>${html}</p>`, 'html')).warnings).toStrictEqual([])
    })
  }

  test('what Unicode does not raise is smaller and higher, what it does not lower smaller and deeper', async () => {
    const matrices = [
      ...(await operators('<p>x<sup>\u03b1</sup></p><p>x<sub>Q</sub></p>')).matchAll(
        /1 0 0 1 [\d.]+ ([\d.]+) Tm\n\S+ ([\d.]+) Tf/g,
      ),
    ]
    const placed = matrices.map(([, y, size]) => ({ y: Number(y), size: Number(size) }))
    const on = (size: number) => placed.filter((one) => one.size === size)
    expect(on(10.5)).toHaveLength(2)
    expect(on(7.35)).toHaveLength(placed.length - 2)
    expect(on(7.35)[0]!.y).toBeGreaterThan(on(10.5)[0]!.y)
    expect(on(7.35).at(-1)!.y).toBeLessThan(on(10.5)[1]!.y)
  })
})

describe('merged cells', () => {
  const table = (rows: string) => `<table>${rows}</table>`
  const documents: Record<string, [html: string, text: string]> = {
    'a cell of two rows': [
      '<tr><th>A</th><th>B</th><th>C</th></tr><tr><td rowspan=2>a</td><td>b1</td><td>c1</td></tr><tr><td>b2</td><td>c2</td></tr>',
      'A | B | C\na | b1 | c1\n | b2 | c2',
    ],
    'a cell of two rows and two columns': [
      '<tr><td colspan=2 rowspan=2>ab</td><td>c1</td></tr><tr><td>c2</td></tr><tr><td>a</td><td>b</td><td>c3</td></tr>',
      'ab |  | c1\n |  | c2\na | b | c3',
    ],
    'a cell in the middle': [
      '<tr><td>a1</td><td rowspan=2>b</td><td>c1</td></tr><tr><td>a2</td><td>c2</td></tr>',
      'a1 | b | c1\na2 |  | c2',
    ],
    'a cell to the end of its group only': [
      '<tbody><tr><td rowspan=0>a</td><td>b1</td></tr><tr><td>b2</td></tr></tbody><tbody><tr><td>a3</td><td>b3</td></tr></tbody>',
      'a | b1\n | b2\na3 | b3',
    ],
    'a title over more columns than there are': [
      '<tr><td colspan=99>title</td></tr><tr><td>a</td><td>b</td></tr>',
      'title\na | b',
    ],
    'a wide cell of a table of many columns': [
      `<tr><td colspan=14>a</td><td>b</td></tr><tr>${'<td>x</td>'.repeat(14)}<td>y</td></tr>`,
      `a${' | '.repeat(14)}b\n\n${Array(14).fill('x').join(' | ')} | y`,
    ],
    'a row that has nothing of its own': [
      '<tr><td rowspan=2>a</td><td rowspan=2>b</td></tr><tr></tr><tr><td>a3</td><td>b3</td></tr>',
      'a | b\n\na3 | b3',
    ],
    'an empty cell of two rows': [
      '<tr><td rowspan=2></td><td></td></tr><tr><td>b2</td></tr><tr><td>a3</td><td>b3</td></tr>',
      ' | \n | b2\na3 | b3',
    ],
    'more columns than are drawn as a table': [
      `<tr><td rowspan=2>a</td>${'<td>x</td>'.repeat(12)}</tr><tr>${'<td>y</td>'.repeat(12)}</tr>`,
      `a | ${Array(12).fill('x').join(' | ')}\n\n | ${Array(12).fill('y').join(' | ')}`,
    ],
  }
  for (const [what, [html, text]] of Object.entries(documents)) {
    test(`${what} leaves each value in its column`, async () => {
      expect(await mailText(`<p>x</p>${table(html)}`)).toBe(`x\n\n${text}`.trim())
    })
  }

  test('the values of a row are drawn under their headings', async () => {
    const html = table(
      '<tr><th>A</th><th>B</th><th>C</th></tr><tr><td rowspan=2>a</td><td>b1</td><td>c1</td></tr><tr><td>b2</td><td>c2</td></tr>',
    )
    const xs = [...(await operators(html)).matchAll(/1 0 0 1 ([\d.]+) [\d.]+ Tm/g)].map(([, x]) => x)
    const [a, b, c] = xs
    expect(new Set([a, b, c]).size).toBe(3)
    expect(xs).toStrictEqual([a, b, c, a, b, c, b, c])
  })

  test('a long cell of two rows goes on over pages, and nothing of it is lost', async () => {
    const words = Array.from({ length: 3_000 }, (_, at) => `w${at}`)
    const html = table(
      `<tr><td rowspan=2>${words.join(' ')}</td><td>b1</td></tr><tr><td>b2</td></tr><tr><td>a3</td><td>b3</td></tr>`,
    )
    const text = (await shown(html, 'html')).split(' ')
    expect(text.filter((word) => word.startsWith('w'))).toStrictEqual(words)
    expect(text.filter((word) => !word.startsWith('w'))).toStrictEqual(['b1', 'b2', 'a3', 'b3'])
  })

  test('a table that takes longer and longer to lay out is refused by name', async () => {
    const html = table(`<tr>${'<td rowspan=0>a</td>'.repeat(3_000)}</tr>${'<tr><td>b</td></tr>'.repeat(3_000)}`)
    expect(await refusal('html_to_pdf', { document_data: base64(html) })).toMatchObject({
      error: 'LIMIT_EXCEEDED',
      message: 'a table has too many merged cells: at most a million are read',
    })
  })
})

describe('check boxes and form fields', () => {
  const documents: Record<string, [document: string, format: string, text: string]> = {
    'boxes in HTML': ['<input type=checkbox checked> yes <input type="CHECKBOX"> no', 'html', '[x] yes [ ] no'],
    'a list of tasks in Markdown': ['- [x] done\n- [ ] to do', 'markdown', '\u2022 [x] done \u2022 [ ] to do'],
    'boxes as characters': ['\u2610 a \u2611 b \u2612 c', 'text', '[ ] a [x] b [X] c'],
    'choices of one': ['<input type=radio checked> a <input type=radio> b', 'html', '(\u2022) a ( ) b'],
    values: ['Name: <input value="Ada">, <textarea>Hello</textarea>', 'html', 'Name: Ada , Hello'],
    'fields side by side': ['<input value="1"><input value="2">3', 'html', '1 2 3'],
    'an empty field': ['Sign: <input>', 'html', 'Sign: ____'],
    'what is chosen': ['<select><option>a<option selected>b</select>', 'html', 'b'],
    'what is chosen by default': ['<select><option>a<option>b</select>', 'html', 'a'],
    'several that are chosen': ['<select multiple><option selected>a<option selected>b</select>', 'html', 'a, b'],
    buttons: ['<input type=submit><input type=reset value=Clear><button>Go</button>', 'html', '[Submit] [Clear] Go'],
  }
  for (const [what, [document, format, text]] of Object.entries(documents)) {
    test(`${what} are read from the PDF`, async () => {
      const pdf = await toPdf(document, format)
      expect((await shown(document, format)).trim()).toBe(text)
      expect(pdf.warnings).toStrictEqual([])
    })
  }

  test('a box is drawn with lines, over text that is copied but not painted', async () => {
    const checked = await operators('<input type=checkbox checked>')
    expect(checked).toContain('3 Tr')
    const lines = (text: string) => text.match(/ l\n/g)?.length ?? 0
    expect(checked.match(/ re\n/g)).toHaveLength(1)
    expect(lines(checked)).toBe(2)
    expect(lines(await operators('<input type=checkbox>'))).toBe(0)
  })

  test('numbers of lists are as the document has them', async () => {
    expect(await shown('<ol type="a"><li>x<li value="27">y</ol><ol type="I" start="4"><li>z</ol>', 'html')).toBe(
      'a. x aa. y IV. z',
    )
  })

  test('text that a style strikes through is struck through, as by its tag', async () => {
    const struck = await operators('<p><s>gone</s></p>')
    expect(await operators('<p><span style="text-decoration: line-through">gone</span></p>')).toBe(struck)
  })
})
