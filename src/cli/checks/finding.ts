// A finding of one check of `crank check`.

export type Status = 'ok' | 'warn' | 'fail'
/** `hint`: how to fix it; every finding that is not ok has one. */
export type Finding = {
  readonly name: string
  readonly status: Status
  readonly message: string
  readonly hint?: string
}

export function ok(name: string, message: string): Finding {
  return { name, status: 'ok', message }
}

export function warn(name: string, message: string, hint: string): Finding {
  return { name, status: 'warn', message, hint }
}

export function fail(name: string, message: string, hint: string): Finding {
  return { name, status: 'fail', message, hint }
}
