// The models, all from npm packages and on the wasm backend. They run in a separate thread: loading takes seconds, and
// tfjs keeps its state in globals.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import '@tensorflow/tfjs-backend-wasm'
import { toFindings, toSquare } from './boxes.ts'
import { confirmed, cropOf, FACES_SIDE, readFaces, type FaceGrid } from './faces.ts'
import { readObjects } from './objects.ts'
import { PICTURE_SIDE, type Finding, type Kind, type Picture } from './picture.ts'

/** Side of the square for the face check, in pixels. */
const CHECK_SIDE = 192

export type Look = (picture: Picture) => Finding[] | Promise<Finding[]>

/**
 * Loads the model for one kind, and the wasm backend at the first call. @throws when a file of the packages has
 * changed.
 */
export async function loadModel(kind: Exclude<Kind, 'scenes'>): Promise<Look> {
  await startBackend()
  switch (kind) {
    case 'objects':
      return objectsLook(await loadGraph('centernet'))
    case 'faces':
      return facesLook(await loadGraph('blazeface'), await loadGraph('facemesh'))
    case 'nsfw':
      return nsfwLook()
  }
}

/** Number of live tensors, for the test that a task leaves none behind. */
export function tensorsHeld(): number {
  return tf.memory().numTensors
}

async function startBackend(): Promise<void> {
  // Without wasm tfjs would silently fall back to plain JavaScript, which is thirty times slower.
  if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend did not start')
  await tf.ready()
}

async function loadGraph(name: 'centernet' | 'blazeface' | 'facemesh'): Promise<tf.GraphModel> {
  // The package does not export the path to its models; they are in a folder beside that of its entry.
  const folder = join(dirname(createRequire(import.meta.url).resolve('@vladmandic/human')), '../models')
  const [json, weights] = await Promise.all([
    readFile(join(folder, `${name}.json`), 'utf8'),
    readFile(join(folder, `${name}.bin`)),
  ])
  const { modelTopology, weightsManifest } = JSON.parse(json) as tf.io.ModelJSON
  const weightSpecs = weightsManifest.flatMap((group) => group.weights)
  return tf.loadGraphModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData: new Uint8Array(weights).buffer }))
}

function objectsLook(model: tf.GraphModel): Look {
  return async (picture) => {
    const output = tf.tidy(() => {
      return model.execute(squareOf(picture), 'tower_0/detections') as tf.Tensor
    })
    return toFindings(readObjects(await take(output)), picture)
  }
}

function facesLook(detector: tf.GraphModel, checker: tf.GraphModel): Look {
  return async (picture) => {
    const square = squareOf(picture)
    try {
      const candidates = readFaces(await faceGrids(detector, square))
      if (candidates.length === 0) return []
      const presence = tf.tidy(() => {
        const crops = candidates.map(({ edges }) => cropOf(edges))
        const boxes = tf.image.cropAndResize(square, crops, new Array(crops.length).fill(0), [CHECK_SIDE, CHECK_SIDE])
        return checker.execute(boxes.div(255), 'Identity_1') as tf.Tensor
      })
      return toFindings(confirmed(candidates, await take(presence)), picture)
    } finally {
      square.dispose()
    }
  }
}

async function faceGrids(detector: tf.GraphModel, square: tf.Tensor4D): Promise<[FaceGrid, FaceGrid]> {
  const outputs = tf.tidy(() => {
    const small = tf.image.resizeBilinear(square, [FACES_SIDE, FACES_SIDE], false, true)
    return detector.execute(small.div(127.5).sub(1)) as tf.Tensor[]
  })
  // The outputs are in no fixed order; their shapes identify them.
  const read = async (candidates: number, numbers: number): Promise<Float32Array> => {
    const output = outputs.find(({ shape }) => shape[1] === candidates && shape[2] === numbers)
    if (output === undefined) throw new Error(`the face model has no output of ${candidates} x ${numbers}`)
    return take(output)
  }
  const grid = async (candidates: number): Promise<FaceGrid> => ({
    scores: await read(candidates, 1),
    boxes: await read(candidates, 16),
  })
  return [await grid(512), await grid(384)]
}

// The package's own types do not resolve: they import without file extensions.
type NsfwCore = { load: (name: 'MobileNetV2', options: { modelDefinitions: readonly unknown[] }) => Promise<NsfwModel> }
type NsfwModel = { classify(picture: tf.Tensor3D): Promise<{ className: string; probability: number }[]> }

async function nsfwLook(): Promise<Look> {
  const core = (await import('nsfwjs/core')) as unknown as NsfwCore
  const { MobileNetV2Model } = (await import('nsfwjs/models/mobilenet_v2')) as { MobileNetV2Model: unknown }
  const model = await core.load('MobileNetV2', { modelDefinitions: [MobileNetV2Model] })
  return async ({ pixels, width, height }) => {
    const picture = tf.tensor3d(Int32Array.from(pixels), [height, width, 3], 'int32')
    try {
      const classes = await model.classify(picture)
      return classes.map(({ className, probability }) => ({ label: className.toLowerCase(), confidence: probability }))
    } finally {
      picture.dispose()
    }
  }
}

function squareOf(picture: Picture): tf.Tensor4D {
  return tf.tensor4d(toSquare(picture), [1, PICTURE_SIDE, PICTURE_SIDE, 3])
}

async function take(tensor: tf.Tensor): Promise<Float32Array> {
  try {
    return (await tensor.data()) as Float32Array
  } finally {
    tensor.dispose()
  }
}
