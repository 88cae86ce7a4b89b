// Terms of a text as FTS5 counts them: both rankings use the same tokenizer.
import { DatabaseSync } from 'node:sqlite'

/**
 * Words of any script in lower case, Latin ones without accents, English ones stemmed. FTS5 knows Unicode 6.1 and
 * treats later characters as letters; currencies and emoji are declared separators, so that they do not stick to the
 * word before.
 */
export const TOKENIZE = `porter unicode61 remove_diacritics 2 separators ${charactersOf(0x20a0, 0x20cf)}${charactersOf(0x1f300, 0x1faff)}`

export type Tokenizer = {
  /** How often each term is in the text. */
  readonly terms: (text: string) => ReadonlyMap<string, number>
  close(): void
}

export function createTokenizer(): Tokenizer {
  const database = new DatabaseSync(':memory:')
  database.exec(`
    CREATE VIRTUAL TABLE scratch USING fts5(text, content='', tokenize='${TOKENIZE}');
    CREATE VIRTUAL TABLE counts USING fts5vocab(scratch, 'row')`)
  const put = database.prepare('INSERT INTO scratch(rowid, text) VALUES (1, ?)')
  const count = database.prepare('SELECT term, cnt FROM counts')
  const clear = database.prepare(`INSERT INTO scratch(scratch) VALUES ('delete-all')`)
  return {
    terms: (text) => {
      put.run(text)
      const rows = count.all() as { term: string; cnt: number }[]
      clear.run()
      return new Map(rows.map(({ term, cnt }) => [term, cnt]))
    },
    close: () => database.close(),
  }
}

function charactersOf(first: number, last: number): string {
  return Array.from({ length: last - first + 1 }, (_, at) => String.fromCodePoint(first + at)).join('')
}
