# METADATA
# title: What OPA's own API may be asked (opa run --authorization=basic)
# description: |
#   Only the decision documents, the plan's two short queries and the health check. No query parameters on a
#   decision: ?explain would hand out the policy's data. Everything else is refused, writes and /v1/config included.
package system.authz

default allow := false

# METADATA
# description: Asked by OPA before every request to its API
# scope: document
# entrypoint: true
allow if {
	input.method == "POST"
	input.path in _questions
	count(input.params) == 0
}

allow if {
	input.method == "GET"
	input.path == ["health"]
}

_questions := {
	["v1", "data", "crank", "capability_access", "decision"],
	["v1", "data", "crank", "capability_access", "allow"],
	["v1", "data", "crank", "capability_access", "deny"],
	["v1", "data", "crank", "worker_registration", "decision"],
}
