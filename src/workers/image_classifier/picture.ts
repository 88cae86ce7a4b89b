// A decoded image as the models see it: small, upright, three bytes for each pixel.

/** RGB, row by row from the top left: `pixels.length === width * height * 3`. No side is longer than PICTURE_SIDE. */
export type Picture = { readonly pixels: Uint8Array; readonly width: number; readonly height: number }

export const PICTURE_SIDE = 512

/** What was found. `confidence` from 0 to 1; `box` where the thing has a place. */
export type Finding = { readonly label: string; readonly confidence: number; readonly box?: Box }

/** In shares of the picture's sides, from 0 to 1; `x` and `y` are the left and the upper edge. */
export type Box = { readonly x: number; readonly y: number; readonly width: number; readonly height: number }

/** What can be looked for. */
export const KINDS = ['objects', 'scenes', 'nsfw', 'faces'] as const
export type Kind = (typeof KINDS)[number]
