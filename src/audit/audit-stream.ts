// The stream of a mesh that has the audit records of all its controllers (ADR 0081): names that writer and readers share. One
// message is one record; its body is the unchanged line.

export const AUDIT_STREAM = 'CRANK-AUDIT'
/** Each chain has a subject of its own. */
export const AUDIT_SUBJECTS = 'crank.audit.*'
/** Headers for people who look into the stream: the machine and the slot of the process that wrote the record. */
export const HOST_HEADER = 'Crank-Host'
export const SLOT_HEADER = 'Crank-Slot'

/** Where NATS answers a reader. Controllers get their answers below `_INBOX.`: whoever may listen there could read the records, too. */
export const AUDITOR_INBOX = '_INBOX_CRANK_AUDITOR'

const PREFIX = 'crank.audit.'

/** @param chain the name of a chain, which is unique in the mesh */
export function subjectOf(chain: string): string {
  return PREFIX + chain
}

/** The chain of a subject; undefined: it is none of these. */
export function chainOfSubject(subject: string): string | undefined {
  return subject.startsWith(PREFIX) ? subject.slice(PREFIX.length) : undefined
}
