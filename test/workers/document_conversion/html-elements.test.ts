// Each element of HTML is drawn, or said to be left out with its place, or nothing that a browser shows.
import { describe, expect, test } from 'vitest'
import { textOf, toPdf } from './conversions.ts'

const VOID = new Set('area base br col embed hr img input link meta source track wbr frame param bgsound'.split(' '))

/** HTML Living Standard, index of elements, and the obsolete ones of section 16.2. */
const DRAWN =
  'a abbr acronym address article aside b basefont bdi big blink blockquote body br button caption center cite code data dd del ' +
  'details dfn dialog dir div dl dt em fieldset figcaption figure font footer form frameset h1 h2 h3 h4 h5 h6 header ' +
  'hgroup hr html i img input ins kbd label legend li listing main map mark marquee menu meter nav nobr noscript ol ' +
  'optgroup option output p picture plaintext pre progress q rb rtc ruby rt s samp search section select slot small span ' +
  'strike strong sub summary sup table tbody td textarea tfoot th thead tr tt u ul var xmp x-custom'
const LEFT_OUT: Record<string, string> = {
  applet: 'ACTIVE_CONTENT_DROPPED',
  area: 'CONTENT_DROPPED',
  audio: 'REMOTE_CONTENT_DROPPED',
  bdo: 'CONTENT_SIMPLIFIED',
  bgsound: 'REMOTE_CONTENT_DROPPED',
  canvas: 'CONTENT_SIMPLIFIED',
  embed: 'ACTIVE_CONTENT_DROPPED',
  frame: 'REMOTE_CONTENT_DROPPED',
  iframe: 'REMOTE_CONTENT_DROPPED',
  link: 'REMOTE_CONTENT_DROPPED',
  math: 'CONTENT_SIMPLIFIED',
  object: 'ACTIVE_CONTENT_DROPPED',
  portal: 'REMOTE_CONTENT_DROPPED',
  script: 'ACTIVE_CONTENT_DROPPED',
  svg: 'CONTENT_SIMPLIFIED',
  video: 'REMOTE_CONTENT_DROPPED',
}
const NOTHING = 'base col colgroup datalist head meta noembed noframes param rp source style template title track wbr'

/** What a browser shows of an element that has its content elsewhere than in its text. */
const SAMPLES: Record<string, [html: string, text: string]> = {
  br: ['<br>SEEN', 'SEEN'],
  hr: ['<hr>SEEN', 'SEEN'],
  img: ['<img alt="SEEN">', '[SEEN]'],
  input: ['<input value="SEEN">', 'SEEN'],
  meter: ['<meter value="3" max="7">less</meter>', '3 / 7'],
  progress: ['<progress value="0.5">half</progress>', '0.5'],
  select: ['<select><option>no</option><option selected>SEEN</option></select>', 'SEEN'],
  sub: ['<sub>2</sub>', '\u2082'],
  sup: ['<sup>2</sup>', '\u00b2'],
  html: ['<html>SEEN</html>', 'SEEN'],
  frameset: ['<frameset>SEEN</frameset>', 'SEEN'],
}

function sampleOf(tag: string): string {
  return SAMPLES[tag]?.[0] ?? (VOID.has(tag) ? `<${tag}>` : `<${tag}>SEEN</${tag}>`)
}

async function read(tag: string) {
  const pdf = await toPdf(`<p>Words before</p>${sampleOf(tag)}`, 'html')
  return { text: await textOf(pdf), warnings: pdf.warnings }
}

describe('elements that are drawn', () => {
  for (const tag of DRAWN.split(' ')) {
    test(tag, async () => {
      const { text, warnings } = await read(tag)
      expect(text).toContain(SAMPLES[tag]?.[1] ?? 'SEEN')
      expect(warnings).toStrictEqual([])
    })
  }
})

describe('elements that are left out or changed, which is said with the place', () => {
  for (const [tag, code] of Object.entries(LEFT_OUT)) {
    test(tag, async () => {
      expect((await read(tag)).warnings).toMatchObject([{ code, count: 1, places: ['after "Words before"'] }])
    })
  }
})

describe('elements of which a browser shows nothing either', () => {
  for (const tag of NOTHING.split(' ').filter((name) => name !== 'head')) {
    test(tag, async () => {
      const { text, warnings } = await read(tag)
      expect(text).toBe('Words before')
      expect(warnings).toStrictEqual([])
    })
  }
})

describe('attributes and styles that change what is said', () => {
  const cases: Record<string, [html: string, code: string, message: RegExp]> = {
    'hidden text': ['<p hidden>secret</p>', 'CONTENT_DROPPED', /hidden text/],
    'text without display': ['<p style="display:none">secret</p>', 'CONTENT_DROPPED', /hidden text/],
    'a hidden picture': ['<div hidden><img src="data:,"></div>', 'CONTENT_DROPPED', /hidden text/],
    'text that is invisible': ['<p style="visibility: hidden">shown</p>', 'CONTENT_SIMPLIFIED', /hides is drawn/],
    'a password': ['<input type="password" value="secret">', 'CONTENT_DROPPED', /password/],
    'options of a list box': [
      '<select multiple><option selected>a</option><option>b</option></select>',
      'CONTENT_DROPPED',
      /list boxes/,
    ],
    'a relative link': ['<a href="report.pdf">the report</a>', 'CONTENT_DROPPED', /relative/],
    'a list that counts down': ['<ol reversed><li>a</ol>', 'CONTENT_SIMPLIFIED', /lists are numbered again/],
    'a background picture': ['<p style="background:url(a.png)">a</p>', 'REMOTE_CONTENT_DROPPED', /external references/],
    'a picture from elsewhere': ['<img src="a.png">', 'REMOTE_CONTENT_DROPPED', /external references/],
    'a picture that cannot be drawn': ['<img src="data:image/gif;base64,R0lG">', 'IMAGES_DROPPED', /images/],
    'an event handler': ['<p onclick="a()">b</p>', 'ACTIVE_CONTENT_DROPPED', /handlers/],
    'a table with a picture in it': [
      '<table><tr><td>a<hr></td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>',
      'CONTENT_SIMPLIFIED',
      /taken apart/,
    ],
  }
  for (const [what, [html, code, message]] of Object.entries(cases)) {
    test(`${what} is said, with its place`, async () => {
      const { warnings } = await toPdf(`<h1>Chapter two</h1><p>Words before</p>${html}`, 'html')
      expect(warnings).toMatchObject([
        { code, count: 1, places: ['after "Chapter two Words before", under "Chapter two"'] },
      ])
      expect(warnings[0]?.message).toMatch(message)
    })
  }

  for (const [what, [css, code, message]] of Object.entries<[css: string, code: string, message: RegExp]>({
    'hides text': ['.a { display: none }', 'CONTENT_SIMPLIFIED', /that they hide is drawn/],
    'adds text': ['.a::after { content: "!" }', 'CONTENT_DROPPED', /that a style sheet adds/],
    'loads a picture': ['.a { background: url(a.png) }', 'REMOTE_CONTENT_DROPPED', /external references/],
    'loads another': ['@import "a.css";', 'REMOTE_CONTENT_DROPPED', /external references/],
  })) {
    test(`a style sheet that ${what} is said`, async () => {
      const { warnings } = await toPdf(`<style>${css}</style><p class="a">b</p>`, 'html')
      expect(warnings).toMatchObject([{ code, count: 1, places: ['in a style sheet'] }])
      expect(warnings[0]?.message).toMatch(message)
    })
  }

  test('what is empty and hidden, or within the document, is not said', async () => {
    const html =
      '<p hidden> </p><input type="hidden" value="a"><a href="#there">b</a><div hidden><script></script></div>'
    expect((await toPdf(html, 'html')).warnings).toMatchObject([{ code: 'ACTIVE_CONTENT_DROPPED', count: 1 }])
  })

  test('many are counted, and the first five have their places', async () => {
    const html = Array.from({ length: 9 }, (_, at) => `<p>Part ${at}</p><svg></svg>`).join('')
    const { warnings } = await toPdf(html, 'html')
    expect(warnings).toMatchObject([{ code: 'CONTENT_SIMPLIFIED', message: 'SVG drawings are left out', count: 9 }])
    expect(warnings[0]?.places).toHaveLength(6)
    expect(warnings[0]?.places?.[0]).toBe('after "Part 0"')
    expect(warnings[0]?.places?.at(-1)).toBe('and 4 more')
  })

  test('a place is short, whatever stands there', async () => {
    const html = `<h1>${'\u{1F600}'.repeat(500)}</h1><p>${'long '.repeat(500)}${'x'.repeat(300)}</p><svg></svg>`
    const { warnings } = await toPdf(html, 'html')
    const places = warnings.flatMap((warning) => warning.places ?? [])
    expect(places).toHaveLength(1)
    expect(places[0]?.length).toBeLessThan(120)
    expect(places[0]?.isWellFormed()).toBe(true)
  })
})
