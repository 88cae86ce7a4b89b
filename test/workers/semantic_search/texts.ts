// Texts on three subjects, written so that words of one subject meet each other but not always in the same text.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createEngine, type Engine, type EngineOptions } from '../../../src/workers/semantic_search/engine.ts'
import type { Request, Result } from '../../../src/workers/semantic_search/schemas.ts'
import { ALICE } from './names.ts'

export const CARS = [
  'The car needs new brakes and the engine makes noise on the motorway.',
  'An automobile with a diesel engine and worn brakes failed its inspection.',
  'Mechanics repair the engine, gearbox and brakes of every vehicle in the garage.',
  'The automobile was towed to the garage because the gearbox broke.',
  'Driving a car on the motorway uses more fuel than in town.',
  'Fuel prices rise and diesel vehicles become expensive to drive.',
]
export const MEDICINE = [
  'The doctor prescribed antibiotics for the infection of the patient.',
  'A physician examined the patient and ordered a blood test in the hospital.',
  'Nurses in the hospital care for patients after surgery.',
  'The physician treats infections with medicine and rest.',
  'Blood pressure medicine was given to the patient by the nurse.',
  'Surgery was postponed because the doctor was ill.',
]
export const BREAD = [
  'Bake the bread in a hot oven until the crust is brown.',
  'Knead the dough with flour, yeast and water, then let it rise.',
  'The baker sells loaves of sourdough bread made from rye flour.',
  'Preheat the oven and roll out the dough for the pizza crust.',
  'A loaf needs yeast, salt and patience.',
  'Pizza from a wood-fired oven tastes of smoke and tomato.',
]
const SUBJECTS = { cars: CARS, medicine: MEDICINE, bread: BREAD }

/** `cars-0`, …, with the subject as metadata. */
export const DOCUMENTS = Object.entries(SUBJECTS).flatMap(([subject, texts]) =>
  texts.map((text, at) => ({ id: `${subject}-${at}`, text, metadata: { subject, at } })),
)

/** Removed when the test is over. */
export async function stateFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'crank-search-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'semantic_search')
}

/** An engine in this thread, closed when the test is over. */
export function startEngine(options: EngineOptions): Engine {
  const engine = createEngine(options)
  onTestFinished(() => engine.close())
  return engine
}

type ResultOf<R extends Request> = Extract<Result, { operation: R['operation'] }>
/** Runs a request of a caller, without a deadline. */
export async function run<R extends Request>(engine: Engine, request: R, caller = ALICE): Promise<ResultOf<R>> {
  return (await engine.run(caller, request, new AbortController().signal)) as ResultOf<R>
}
