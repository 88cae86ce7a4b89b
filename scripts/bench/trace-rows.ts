// The rows of the trace measurement: one controller and one worker each, all running at once, and one Jaeger for all.

export type TraceRowName = 'untraced' | 'sdk-delay' | 'shipped'

export type TraceRow = {
  readonly name: TraceRowName
  readonly what: string
  /** OTEL_* besides the endpoint; undefined: no endpoint. */
  readonly env: NodeJS.ProcessEnv | undefined
}

export const TRACE_ROWS: readonly TraceRow[] = [
  { name: 'untraced', what: 'no span is exported', env: undefined },
  {
    name: 'sdk-delay',
    what: 'exported, batch delay of the SDK by default',
    env: { OTEL_BSP_SCHEDULE_DELAY: '5000' },
  },
  { name: 'shipped', what: 'exported with the settings that Crank ships', env: {} },
]
