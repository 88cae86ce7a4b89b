// Words of praise and blame, selected for this worker, in three strengths. Business words (due, free, please) are left
// out.

const POSITIVE = {
  0.5: 'thanks thank glad nice fine good okay ok welcome appreciate interesting helpful useful better easy fun hope kind smooth',
  1: `happy great enjoy enjoyed like liked love loved lovely pleased pleasure delighted excited thankful grateful friendly impressed
    beautiful comfortable recommend recommended reliable satisfied success successful proud congratulations celebrate brilliant
    cheerful generous charming cosy delicious enthusiastic fast flawless gorgeous joy favourite favorite pleasant
    progress promising quick relieved smart superb sweet terrific thoughtful warm win wow`,
  2: 'excellent amazing awesome fantastic wonderful perfect outstanding marvellous marvelous best incredible thrilled adore phenomenal',
} as const

const NEGATIVE = {
  0.5: 'sorry unfortunately late delay delayed missing wrong slow difficult issue issues concern concerned worried unclear miss tired problem problems trouble broken error errors failed fails failure damaged lost',
  1: `bad sad unhappy angry annoyed annoying disappointed disappointing disappointment complain complaint complaints
    problem poor rude upset hate hated refuse refused reject rejected useless waste wasted ugly unreliable
    unprofessional confusing confused mess messy mistake mistakes frustrating frustrated frustration hurt ignored
    impossible incompetent lousy misleading nightmare painful ridiculous scam stressful suffer terribly unfair
    unresponsive unsatisfied dissatisfied defective dirty afraid regret blame overcharged`,
  2: 'terrible horrible awful worst disgusting unacceptable outrageous furious dreadful disgrace disgraceful appalling atrocious catastrophe pathetic',
} as const

/** Strength by word, lower case: from -2 to 2. */
export const LEXICON: ReadonlyMap<string, number> = new Map([...entriesOf(POSITIVE, 1), ...entriesOf(NEGATIVE, -1)])

/** They invert a word that follows within three words. */
export const NEGATIONS: ReadonlySet<string> = new Set(
  "not no never hardly without neither nor cannot can't don't doesn't didn't isn't wasn't aren't weren't won't wouldn't couldn't shouldn't".split(
    ' ',
  ),
)
/** They strengthen the next word. */
export const INTENSIFIERS: ReadonlySet<string> = new Set(
  'very really extremely so absolutely totally completely incredibly highly truly'.split(' '),
)

function entriesOf(words: Readonly<Record<string, string>>, sign: 1 | -1): [word: string, strength: number][] {
  return Object.entries(words).flatMap(([strength, list]) =>
    list.split(/\s+/).map((word): [string, number] => [word, sign * Number(strength)]),
  )
}
