// Stronger signs of a mail's category than single words: set phrases, and headers where there are any.
import type { Category } from './categories.ts'
import type { Mail } from './mail.ts'

/** `adds`: added to the logarithm of a category's probability; 1 is a factor of 2.7. */
export type Rule = { readonly name: string; readonly adds: Readonly<Partial<Record<Category, number>>> }
type Test = (mail: Mail, text: string) => boolean

const MAX_CHARACTERS = 8_000

const RULES: readonly (Rule & { readonly applies: Test })[] = [
  {
    name: 'amount due',
    adds: { bill: 2 },
    applies: says(
      /\b(?:amount|balance|payment|premium|rent|total) (?:is )?(?:now )?due\b|\bdue date\b|\b(?:past due|overdue)\b/i,
      /\b(?:outstanding|unpaid) (?:balance|amount|invoice)\b|\bminimum payment\b|\bplease (?:pay|remit|settle|transfer)\b/i,
    ),
  },
  {
    name: 'already paid',
    adds: { receipt: 2 },
    applies: says(
      /\bamount paid\b|\bpaid (?:with|by|in full)\b|\btotal (?:charged|paid)\b|\border total\b|\breceipt of your\b/i,
      /\b(?:received|processed) your payment\b|\bpayment (?:was )?(?:received|successful|accepted)\b|\bwe(?: have)? refunded\b/i,
    ),
  },
  {
    name: 'journey',
    adds: { travel: 1.5 },
    applies: says(
      /\bboarding (?:pass|starts)\b|\bitinerary\b|\be-?tickets?\b|\bbooking (?:reference|number)\b|\bcheck-?(?:in|out)\b/i,
      /\byour (?:flight|stay|trip|train|hotel)\b|\bdeparture\b|\bseat \d{1,3}[a-k]?\b/i,
    ),
  },
  {
    name: 'offer',
    adds: { promotion: 1.5 },
    applies: says(
      /\b\d{1,2} ?% off\b|\b(?:promo|discount|coupon) code\b|\bfree (?:shipping|trial)\b|\bshop (?:now|the)\b/i,
      /\blimited (?:time|offer)\b|\bwhile (?:stocks?|supplies) lasts?\b|\bbuy (?:now|one)\b|\boffer (?:ends|valid)\b/i,
    ),
  },
  {
    name: 'regular issue',
    adds: { newsletter: 1.5 },
    applies: says(
      /\b(?:this|our|your (?:weekly|daily|monthly)) newsletter\b|\bin this (?:week's )?(?:issue|edition)\b/i,
      /\bview (?:this )?(?:e-?mail )?in (?:your |a )?browser\b|\bissue #?\d{1,5}\b|\bweekly (?:digest|briefing)\b/i,
    ),
  },
  {
    name: 'security code or sign-in',
    adds: { notification: 2 },
    applies: says(
      /\b(?:verification|security|one-time|login|confirmation) code\b|\breset your password\b|\bnew (?:sign-?in|device)\b/i,
    ),
  },
  {
    name: 'sent by a machine',
    adds: { notification: 1.5 },
    applies: says(
      /\bautomat(?:ed|ic) (?:message|notification|alert|reminder)\b|\bnotification (?:settings|preferences)\b/i,
    ),
  },
  {
    name: 'list that anybody may write to',
    adds: { discussion: 1.5, personal: -1 },
    applies: ({ headers }) => headers.has('list-post'),
  },
  {
    name: 'sent to many',
    adds: { newsletter: 1, promotion: 1, personal: -1 },
    applies: (mail) => hasListHeader(mail) && !mail.headers.has('list-post'),
  },
  {
    name: 'tag of a list in the subject',
    adds: { discussion: 1.5 },
    applies: ({ subject }) => /^(?:(?:re|fwd?|aw): ?){0,3}\[[^\]]{2,40}\]/i.test(subject),
  },
  { name: 'automatic sender', adds: { work: -1.5, personal: -1.5 }, applies: isAutomatic },
  {
    name: 'answer to a mail',
    adds: { work: 1, personal: 1, discussion: 1, newsletter: -1, promotion: -1 },
    applies: ({ headers }) => headers.has('in-reply-to'),
  },
]

/** The rules that match a mail. */
export function rulesFor(mail: Mail): Rule[] {
  const text = `${mail.subject}\n${mail.body.slice(0, MAX_CHARACTERS)}`.replaceAll(/\s{1,100}/g, ' ')
  return RULES.filter(({ applies }) => applies(mail, text))
}

/** Whether it was sent to many recipients, with a way to unsubscribe. */
export function hasListHeader({ headers }: Pick<Mail, 'headers'>): boolean {
  return headers.has('list-unsubscribe') || /^(?:bulk|list)$/i.test(headers.get('precedence') ?? '')
}

function isAutomatic({ headers }: Mail): boolean {
  const submitted = headers.get('auto-submitted') ?? 'no'
  return !/^no\b/i.test(submitted) || /\b(?:no-?reply|do-?not-?reply|mailer-daemon)@/i.test(headers.get('from') ?? '')
}

function says(...patterns: readonly RegExp[]): Test {
  return (_, text) => patterns.some((pattern) => pattern.test(text))
}
