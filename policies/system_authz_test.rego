# METADATA
# description: Which requests OPA's API accepts and refuses
package system.authz_test

import data.system.authz

request(method, path) := {"method": method, "path": split(path, "/"), "params": {}}

test_decisions_may_be_asked[path] if {
	some path in [
		"v1/data/crank/capability_access/decision",
		"v1/data/crank/capability_access/allow",
		"v1/data/crank/capability_access/deny",
		"v1/data/crank/worker_registration/decision",
		"v1/data/crank/batch/decisions",
		"v1/data/crank/revision/loaded",
	]
	authz.allow with input as request("POST", path)
}

test_health_may_be_asked if authz.allow with input as request("GET", "health")

test_metrics_may_be_scraped if authz.allow with input as request("GET", "metrics")

test_health_may_be_asked_with_parameters if {
	authz.allow with input as {"method": "GET", "path": ["health"], "params": {"bundles": [""], "plugins": [""]}}
}

test_everything_else_is_refused[note] if {
	some note, row in {
		"put a policy": ["PUT", "v1/policies/x"], "read one policy": ["GET", "v1/policies/x"],
		"delete a policy": ["DELETE", "v1/policies/x"], "config": ["GET", "v1/config"], "all data": ["GET", "v1/data"],
		"data by post": ["POST", "v1/data"], "workers": ["POST", "v1/data/workers"], "put data": ["PUT", "v1/data/workers"],
		"patch data": ["PATCH", "v1/data"], "query": ["POST", "v1/query"], "compile": ["POST", "v1/compile"],
		"default decision": ["POST", ""], "batch": ["POST", "v1/batch/data/crank/capability_access/decision"],
		"old api": ["POST", "v0/data/crank/capability_access/decision"], "metrics written": ["POST", "metrics"],
		"status written": ["POST", "v1/status"], "policies written": ["POST", "v1/policies"],
		"decision by get": ["GET", "v1/data/crank/capability_access/decision"],
		"decision replaced": ["PUT", "v1/data/crank/capability_access/decision"],
		"below a decision": ["POST", "v1/data/crank/capability_access/decision/allow"],
		"package": ["POST", "v1/data/crank/capability_access"], "package of batches": ["POST", "v1/data/crank/batch"],
		"trailing slash": ["POST", "v1/data/crank/capability_access/allow/"],
		"health written": ["POST", "health"], "below health": ["GET", "health/live"],
	}
	not authz.allow with input as request(row[0], row[1])
}

test_what_is_loaded_may_be_read[path] if {
	some path in ["v1/policies", "v1/status"]
	authz.allow with input as request("GET", path)
	not authz.allow with input as object.union(request("GET", path), {"params": {"pretty": ["true"]}})
}

test_a_decision_may_be_asked_with_the_revision if {
	question := request("POST", "v1/data/crank/capability_access/decision")
	authz.allow with input as object.union(question, {"params": {"provenance": ["true"]}})
	not authz.allow with input as object.union(question, {"params": {"provenance": ["true"], "explain": ["full"]}})
	not authz.allow with input as object.union(question, {"params": {"provenance": ["true", "x"]}})
}

test_a_decision_takes_no_other_parameters if {
	question := request("POST", "v1/data/crank/capability_access/decision")
	not authz.allow with input as object.union(question, {"params": {"explain": ["full"]}})
	not authz.allow with input as json.remove(question, ["/params"])
}
