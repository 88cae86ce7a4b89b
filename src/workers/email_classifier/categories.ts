// The categories of mails, in the order of the category model.

export const CATEGORIES = [
  'work',
  'personal',
  'discussion',
  'newsletter',
  'promotion',
  'receipt',
  'bill',
  'notification',
  'travel',
] as const
export type Category = (typeof CATEGORIES)[number]
