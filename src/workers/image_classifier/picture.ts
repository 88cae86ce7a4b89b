// A decoded image as the models see it: small, upright, three bytes per pixel.

/** RGB, row by row from the top left: `pixels.length === width * height * 3`. No side is longer than PICTURE_SIDE. */
export type Picture = { readonly pixels: Uint8Array; readonly width: number; readonly height: number }

export const PICTURE_SIDE = 512

/** A finding. `confidence` from 0 to 1; `box` if it has a position. */
export type Finding = { readonly label: string; readonly confidence: number; readonly box?: Box }

/** Fractions of the picture's sides, from 0 to 1; `x` and `y` are the left and the upper edge. */
export type Box = { readonly x: number; readonly y: number; readonly width: number; readonly height: number }

/** The kinds of findings. */
export const KINDS = ['objects', 'scenes', 'nsfw', 'faces'] as const
export type Kind = (typeof KINDS)[number]
