# METADATA
# title: Which data a sidecar has
# description: |
#   OPA does not report a revision for files that are loaded by name. This lets the controller check whether the loaded
#   data is that of its own folder: it sends its documents once, then watches the hash. Loaded by the sidecar only; not
#   part of any decision and not in policy.wasm.
package crank.revision

# METADATA
# title: The loaded data, without showing it
# description: |
#   data_sha256 is the hash of the loaded documents; equal says whether they are input.documents. Both compare values:
#   order and space in the files do not matter, every digit of a number does.
# scope: document
# entrypoint: true
loaded := {"data_sha256": crypto.sha256(json.marshal(_documents)), "equal": _equal}

# A document that is not loaded is left out.
_documents["workers"] := data.workers

_documents["exceptions"] := data.exceptions

_documents["exception_limits"] := data.exception_limits

_documents["enforcement"] := data.enforcement

_documents["blocked"] := data.blocked

default _equal := false

_equal if input.documents == _documents

# METADATA
# description: |
#   OPA asks this before it logs a decision (observability/opa.yaml). The comparison above is not a decision, runs every
#   few seconds, and its input may be all of the data
# scope: document
# entrypoint: true
default unlogged := false

unlogged if input.path == "crank/revision/loaded"
