# METADATA
# title: Which data a sidecar has
# description: |
#   OPA has no word for the revision of files that were given to it by name. This lets the controller see whether the
#   loaded data is that of its own folder: it sends its documents once, and watches the hash from then on. Loaded by the
#   sidecar only; no part of a decision and not in policy.wasm.
package crank.revision

# METADATA
# title: The loaded data, without showing it
# description: |
#   data_sha256 names the loaded documents; equal says whether they are input.documents. Both by value: order and space
#   in the files do not count, every digit of a number does.
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
#   Asked by OPA before it logs a decision (observability/opa.yaml): the comparison above is none, is made every few
#   seconds, and its input may be all of the data
# scope: document
# entrypoint: true
default unlogged := false

unlogged if input.path == "crank/revision/loaded"
