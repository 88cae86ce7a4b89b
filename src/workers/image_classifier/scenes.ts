// Heuristics for the scene: colours and edges, no model. Each label has its own score; `unknown` if none is high
// enough.
import type { Finding, Picture } from './picture.ts'
import { featuresOf, type SceneFeatures } from './scene-features.ts'

export const SCENES = ['text', 'graphic', 'night', 'outdoor', 'indoor', 'unknown'] as const

const LEAST_CONFIDENCE = 0.3
/** No heuristic is certain, and colours alone do not identify a room. */
const MAX_CONFIDENCE = 0.9
const MAX_INDOOR = 0.6

export function scenesOf(picture: Picture): Finding[] {
  const scores = scoresOf(featuresOf(picture))
  const found = Object.entries(scores)
    .map(([label, confidence]) => ({ label, confidence }))
    .filter(({ confidence }) => confidence >= LEAST_CONFIDENCE)
    .sort((a, b) => b.confidence - a.confidence)
  return found.length > 0 ? found : [{ label: 'unknown', confidence: 1 - Math.max(...Object.values(scores)) }]
}

function scoresOf(features: SceneFeatures): Record<Exclude<(typeof SCENES)[number], 'unknown'>, number> {
  const { meanLuma, dark, bright, flat, palette, sky, green, warm, inkRows, lines } = features
  const drawn = ramp(flat, 0.35, 0.75) * ramp(palette, 0.5, 0.9)
  const text = ramp(lines, 1, 5) * ramp(inkRows, 0.08, 0.25) * ramp(palette, 0.45, 0.75)
  const graphic = drawn * (1 - text / 2)
  // Lamps indicate night; a picture without any light may show a lens cap.
  const night = ramp(dark, 0.45, 0.8) * (1 - ramp(meanLuma, 0.2, 0.35)) * (bright > 0.0005 ? 1 : 0.5) * (1 - text)
  const photographed = (1 - drawn) * (1 - text)
  const open = Math.max(ramp(sky, 0.25, 0.7), ramp(green, 0.25, 0.6), ramp(sky + green, 0.4, 0.9))
  const outdoor = photographed * (1 - night) * open
  const indoor = photographed * (1 - night) * (1 - open) * ramp(warm, 0.15, 0.5) * MAX_INDOOR
  const sure = (score: number): number => score * MAX_CONFIDENCE
  return { text: sure(text), graphic: sure(graphic), night: sure(night), outdoor: sure(outdoor), indoor }
}

/** 0 up to `from`, 1 from `to` on, linear between them. */
function ramp(value: number, from: number, to: number): number {
  return Math.min(1, Math.max(0, (value - from) / (to - from)))
}
