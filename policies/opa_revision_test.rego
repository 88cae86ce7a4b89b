# METADATA
# description: What OPA reports about its data
package crank.revision_test

import data.crank.revision

documents := {
	"workers": {"w": {"worker_id": "w"}},
	"exceptions": {"w": {"expires_after": 1795514400000000001}},
	"exception_limits": {"max_lifetime_days": 90},
	"enforcement": {"default": "enforce"},
	"blocked": {"identities": {}, "capabilities": {}},
}

loaded(question) := answer if {
	answer := revision.loaded with input as question
		with data.workers as documents.workers
		with data.exceptions as documents.exceptions
		with data.exception_limits as documents.exception_limits
		with data.enforcement as documents.enforcement
		with data.blocked as documents.blocked
}

test_the_same_documents_are_equal if loaded({"documents": documents}).equal

test_another_value_anywhere_is_not[path] if {
	some path in [
		"workers/w/worker_id", "exceptions/w/expires_after", "exception_limits/max_lifetime_days",
		"enforcement/default", "blocked/identities",
	]
	other := json.patch(documents, [{"op": "replace", "path": path, "value": 1795514400000000002}])
	loaded({"documents": other}).equal == false
}

test_a_missing_or_further_document_is_not if {
	loaded({"documents": object.remove(documents, ["blocked"])}).equal == false
	loaded({"documents": object.union(documents, {"more": {}})}).equal == false
	loaded({}).equal == false
}

test_the_hash_is_that_of_the_data if {
	loaded({}).data_sha256 == crypto.sha256(json.marshal(documents))
	other := revision.loaded.data_sha256 with input as {}
		with data.workers as documents.workers
		with data.exceptions as documents.exceptions
		with data.exception_limits as documents.exception_limits
		with data.enforcement as documents.enforcement
		with data.blocked as {"identities": {"w": ""}, "capabilities": {}}
	other != loaded({}).data_sha256
}

test_the_comparison_is_not_logged if revision.unlogged with input as {"path": "crank/revision/loaded"}

test_decisions_are_logged if {
	every path in ["crank/capability_access/decision", "crank/worker_registration/decision"] {
		not revision.unlogged with input as {"path": path}
	}
}

test_what_has_no_path_is_logged if not revision.unlogged with input as {}
