// Reads the output of CenterNet (COCO, 80 classes): rows of left, top, right, bottom, score, class on a square of 512.
import type { Detection } from './boxes.ts'

/** Side of the square that the model sees, in pixels. */
const SIDE = 512
const ROW = 6
/** Below this the model reports shadows and shapes. */
const LEAST_CONFIDENCE = 0.3

/** Reads the output `tower_0/detections`: six numbers for each of 100 candidates. */
export function readObjects(rows: ArrayLike<number>): Detection[] {
  return Array.from({ length: Math.floor(rows.length / ROW) }, (_, index) => {
    const at = (column: number): number => rows[index * ROW + column] ?? Number.NaN
    const edges = { left: at(0) / SIDE, top: at(1) / SIDE, right: at(2) / SIDE, bottom: at(3) / SIDE }
    return { label: LABELS[at(5)] ?? '', confidence: at(4), edges }
  }).filter(({ label, confidence }) => label !== '' && confidence >= LEAST_CONFIDENCE)
}

// In the order of the model's classes.
const LABELS: readonly string[] = (
  'person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,' +
  'bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,' +
  'sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,' +
  'bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,' +
  'toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,' +
  'teddy bear,hair drier,toothbrush'
).split(',')
