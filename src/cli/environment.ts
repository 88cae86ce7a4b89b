// The environment of the command line: the one place of src/cli that reads it. Commands pass it on to what parses it.

/** As it is now: tests replace it. */
export function environment(): NodeJS.ProcessEnv {
  return process.env
}
