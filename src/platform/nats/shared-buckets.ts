// Names of what a mesh keeps in NATS and more than one program uses.

/** The blocks of the mesh: operators write them, controllers read them. */
export const BLOCKS_BUCKET = 'crank-blocks'

/**
 * Where NATS answers an operator. Controllers get theirs below `_INBOX.`: whoever may listen there can read the answers to
 * others, and so the keys of the mesh.
 */
export const OPERATOR_INBOX = '_INBOX_CRANK_OPERATOR'
