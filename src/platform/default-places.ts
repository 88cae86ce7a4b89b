// The defaults of settings that every command needs, also those that must answer before a schema compiler is loaded.

/** What must outlive a process, of the controller, the workers and the command line. */
export const DEFAULT_STATE_DIR = '.crank'
/** The Rego sources and `data/`. */
export const DEFAULT_POLICY_DIR = 'policies'
/** The first part of every SPIFFE ID. */
export const DEFAULT_TRUST_DOMAIN = 'crank.local'
