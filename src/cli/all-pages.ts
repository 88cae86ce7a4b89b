// Reads lists that the controller returns in pages.

/** The entries of all pages; `get` receives the query of each page, empty for the first. */
export async function allPages<Page extends { next?: string }, Entry>(
  get: (query: string) => Promise<Page>,
  entriesOf: (page: Page) => readonly Entry[],
): Promise<Entry[]> {
  const entries: Entry[] = []
  for (let query: string | undefined = ''; query !== undefined;) {
    const page: Page = await get(query)
    entries.push(...entriesOf(page))
    query = page.next === undefined ? undefined : `?after=${encodeURIComponent(page.next)}`
  }
  return entries
}
