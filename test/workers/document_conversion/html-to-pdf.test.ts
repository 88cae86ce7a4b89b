import { describe, expect, test } from 'vitest'
import { ask, base64, refusal, shown, toPdf, type PdfAnswer } from './conversions.ts'

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

async function warningsOf(html: string): Promise<Record<string, number>> {
  const { warnings } = await toPdf(html, 'html')
  return Object.fromEntries(warnings.map(({ code, count }) => [code, count]))
}

describe('the text of HTML in a PDF', () => {
  const documents: Record<string, [html: string, text: string]> = {
    'headings and paragraphs': ['<h1>One</h1><p>two <b>three</b><i>four</i></p>', 'One two threefour'],
    'white space as HTML has it': ['<p>a\n  b <b> c</b></p>', 'a b c'],
    'line breaks': ['<p>a<br>b</p>', 'a b'],
    'entities, none of them twice': ['<p>&lt;b&gt; &amp;amp; &eacute;</p>', '<b> &amp; é'],
    'a list': ['<ul><li>a<li>b<ul><li>c</ul></ul>', '• a • b – c'],
    'a numbered list from its start': ['<ol start="3"><li>a</li><li>b</li></ol>', '3. a 4. b'],
    'a table': ['<table><tr><th>a</th><th>b</th></tr><tr><td>c</td><td>d</td></tr></table>', 'a b c d'],
    'a table of one column': ['<table><tr><td>a</td></tr><tr><td>b</td></tr></table>', 'a b'],
    'a table that lays out a page': [
      '<table><tr><td><table><tr><td>a</td><td>b</td></tr></table></td><td>c</td></tr></table>',
      'a b c',
    ],
    'more columns than fit': [`<table><tr>${'<td>x</td>'.repeat(14)}</tr></table>`, Array(14).fill('x').join(' | ')],
    'a quote': ['<blockquote>a<blockquote>b</blockquote></blockquote><q>c</q>', 'a b “c”'],
    code: ['<pre>if (a) {\n  b()\n}</pre><p><code>c()</code></p>', 'if (a) { b() } c()'],
    'the target of a link': ['<a href="https://example.org/a">here</a>', 'here (https://example.org/a)'],
    'a link that says where it leads, once': ['<a href="https://example.org/">example.org</a>', 'example.org'],
    'the address of a mail link': ['<a href="mailto:ada@example.org">write</a>', 'write (ada@example.org)'],
    'what a picture from elsewhere is called': ['<img src="https://example.org/a.png" alt="A cat">', '[A cat]'],
    definitions: ['<dl><dt>a</dt><dd>b</dd></dl>', 'a b'],
    'nothing that is hidden': ['<p hidden>a</p><p style="display : none">b</p><p>c</p>', 'c'],
    'tags that are closed in the wrong order': ['<b>a<i>b</b>c</i></div></td>d', 'abcd'],
    'nothing at all': ['', ''],
  }
  for (const [what, [html, text]] of Object.entries(documents)) {
    test(`has ${what}`, async () => {
      expect((await shown(html || ' ', 'html')).trim()).toBe(text)
    })
  }

  test('is the same by html_to_pdf', async () => {
    const answer = await ask('html_to_pdf', { document_data: base64('<h1>Hi</h1>'), target_format: 'pdf' })
    expect(answer.json()).toMatchObject({ target_format: 'pdf', page_count: 1, warnings: [] })
    expect((answer.json() as PdfAnswer).converted_data).toBe((await toPdf('<h1>Hi</h1>', 'html')).converted_data)
  })

  test('goes on over pages, a table row too', async () => {
    const row = `<tr><td>start</td><td>${'word '.repeat(4_000)}end.</td></tr>`
    const { page_count } = await toPdf(`<table>${row}</table><p>after</p>`, 'html')
    expect(page_count).toBeGreaterThan(2)
    expect(await shown(`<table>${row}</table><p>after</p>`, 'html')).toMatch(/end\. after$/)
  })

  test('is read in the encoding that it names', async () => {
    const html = Buffer.concat([
      Buffer.from('<meta charset="windows-1251"><p>'),
      Buffer.of(0xcf, 0xf0),
      Buffer.from('</p>'),
    ])
    expect(await shown(html, 'html')).toBe('Пр')
  })
})

describe('what is left out', () => {
  const active: Record<string, string> = {
    'a script': '<script>SECRET</script>',
    'a script inside of a picture': '<svg><script>SECRET</script></svg>',
    'an embedded object': '<object data="a.swf">SECRET</object>',
    'an event handler': '<img src="data:," onerror="SECRET()">',
    'a script as the target of a link': '<a href="java&#10;script:SECRET">a</a>',
    'a file as the target of a link': '<a href="file:///SECRET">a</a>',
    'data as the target of a link': '<a href="data:text/html,SECRET">a</a>',
  }
  for (const [what, html] of Object.entries(active)) {
    test(`${what} is not shown, and said`, async () => {
      expect(await shown(html, 'html')).not.toContain('SECRET')
      expect(await warningsOf(html)).toMatchObject({ ACTIVE_CONTENT_DROPPED: 1 })
    })
  }

  const remote: Record<string, string> = {
    'a picture': '<img src="https://example.org/SECRET.png">',
    'a picture of a file': '<img src="file:///SECRET">',
    'a frame': '<iframe src="https://example.org/">SECRET</iframe>',
    'a style sheet': '<link rel="stylesheet" href="https://example.org/SECRET.css">',
    'a refresh': '<meta http-equiv="Refresh" content="0; url=https://example.org/SECRET">',
    'a background': '<p style="background: url(https://example.org/SECRET)">a</p>',
  }
  for (const [what, html] of Object.entries(remote)) {
    test(`${what} from elsewhere is not shown, and said`, async () => {
      expect(await shown(html, 'html')).not.toContain('SECRET')
      expect(await warningsOf(html)).toMatchObject({ REMOTE_CONTENT_DROPPED: 1 })
    })
  }

  test('styles and comments, without a word', async () => {
    const html = '<style>p { color: red }</style><!-- a --><p>d</p>'
    expect(await shown(html, 'html')).toBe('d')
    expect(await warningsOf(html)).toStrictEqual({})
  })
})

describe('pictures', () => {
  test('in data: URLs are drawn', async () => {
    const plain = await toPdf('<p>a</p>', 'html')
    const html = `<p>a</p><img src="data:image/png;base64,${PNG}">`
    const drawn = await toPdf(html, 'html')
    expect(drawn.warnings).toStrictEqual([])
    expect(drawn.converted_data.length).toBeGreaterThan(plain.converted_data.length)
    expect(Buffer.from(drawn.converted_data, 'base64').toString('latin1')).toContain('/Subtype /Image')
  })

  for (const [what, url] of Object.entries({
    'a damaged one': `data:image/png;base64,${PNG.slice(0, 60)}`,
    'a GIF': 'data:image/gif;base64,R0lGODlhAQABAAAAACw=',
    'what claims to be one': 'data:image/png;base64,aGVsbG8=',
    'an SVG': 'data:image/svg+xml;base64,PHN2Zy8+',
  })) {
    test(`${what} is dropped, and said`, async () => {
      expect(await warningsOf(`<img src="${url}">`)).toStrictEqual({ IMAGES_DROPPED: 1 })
    })
  }
})

describe('limits', () => {
  test('a hundred thousand nested tags are refused, not run into', async () => {
    for (const tag of ['<div>', '<b>', '<ul><li>', '<table><tr><td>', '<blockquote>']) {
      const input = { document_data: base64(tag.repeat(100_000)) }
      expect(await refusal('html_to_pdf', input)).toMatchObject({
        status: 413,
        error: 'LIMIT_EXCEEDED',
        message: 'HTML tags are nested deeper than 5000',
        retryable: false,
      })
    }
  })

  test('four thousand nested tags are drawn', async () => {
    for (const tag of ['<div>', '<b>', '<ul><li>', '<blockquote>']) {
      const nested = tag.repeat(4_000 / tag.split('>').length)
      expect(await shown(`${nested}deep`, 'html')).toMatch(/deep$/)
    }
  })

  test('too many pages are refused', async () => {
    const input = { document_data: base64('<p>a'.repeat(40_000)) }
    expect(await refusal('html_to_pdf', input)).toMatchObject({
      status: 413,
      error: 'LIMIT_EXCEEDED',
      message: 'the PDF would have more than 500 pages',
    })
  })
})
