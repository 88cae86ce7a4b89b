# METADATA
# title: Which requests OPA's own API accepts (opa run --authorization=basic)
# description: |
#   Accepts the decision documents, alone and in batches, the plan's two short queries, the health check, the metrics,
#   and three reads with which the controller checks the loaded policy: the Rego sources, whether the data is the
#   controller's, and the state of the bundles. A decision takes ?provenance=true (the bundles' revisions) and no other
#   parameter: ?explain would reveal the policy's data. Everything else is refused, including writes and /v1/config. OPA
#   also asks this for its diagnostic listener, which has health and metrics only.
package system.authz

default allow := false

# METADATA
# description: OPA asks this before every request to its API
# scope: document
# entrypoint: true
allow if {
	input.method == "POST"
	input.path in _questions
	input.params in [{}, {"provenance": ["true"]}]
}

allow if {
	input.method == "GET"
	input.path in [["health"], ["metrics"]]
}

allow if {
	input.method == "GET"
	input.path in [["v1", "policies"], ["v1", "status"]]
	input.params == {}
}

_questions := {
	["v1", "data", "crank", "capability_access", "decision"],
	["v1", "data", "crank", "capability_access", "allow"],
	["v1", "data", "crank", "capability_access", "deny"],
	["v1", "data", "crank", "worker_registration", "decision"],
	["v1", "data", "crank", "batch", "decisions"],
	["v1", "data", "crank", "revision", "loaded"],
}
