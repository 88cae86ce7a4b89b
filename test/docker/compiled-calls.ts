// A call of each worker that needs its data, its thread or its folder, and something of the answer.
const base64 = (text: string): string => Buffer.from(text).toString('base64')
// 64 x 48 pixels, two areas of one colour each.
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAAAwCAMAAACWlYwtAAAACVBMVEX////wvh4eWsi3oVe7AAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAM0lEQVRIx+3MsQkAIAwAsNb/j3YSHAoFEQdJDkgEXDUqAoFAIBC8DnIpg2wJ9uCQ4ItgAuaXB+64jKVAAAAAAElFTkSuQmCC'

type Call = { readonly capability: string; readonly input: unknown; readonly answer: string }

export const CALLS: Readonly<Record<string, Call>> = {
  document_conversion: {
    capability: 'convert:html_to_pdf',
    input: { document_data: base64('<h1>Привет</h1>') },
    answer: '"page_count":1',
  },
  email_classifier: {
    capability: 'classify:email_category',
    input: {
      subject: 'Your receipt',
      email_content: 'Thank you for your order. You paid $12.00. This is your receipt.',
      classification_types: ['category', 'receipt', 'language'],
    },
    answer: '"value":"en"',
  },
  hello_world: { capability: 'invoke:hello_world', input: { message: 'Crank' }, answer: 'Crank' },
  image_classifier: {
    capability: 'classify:image_category',
    input: { image_data: PNG, classification_types: ['scenes', 'nsfw'] },
    answer: '"neutral"',
  },
  philosophical_analyzer: {
    capability: 'analyze:philosophy',
    input: { text: 'I do not know what I am, and yet I choose, every day, what I will have been. So does everybody.' },
    answer: '"dna_markers"',
  },
  semantic_search: {
    capability: 'search:semantic_documents',
    input: { operation: 'index', documents: [{ id: 'a', text: 'Apples and pears' }] },
    answer: '"indexed":1',
  },
  streaming: { capability: 'stream:text_events', input: { content: 'one two' }, answer: 'one two' },
  zettel_manager: {
    capability: 'manage:sonnet_zettel',
    input: { operation: 'store', content: 'Apples. See [[Pears]].' },
    answer: '"success":true',
  },
  zettel_repository: { capability: 'store:zettel', input: { content: 'Pears' }, answer: '"title":"Pears"' },
}
