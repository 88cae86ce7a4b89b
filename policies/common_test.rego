# METADATA
# description: The shared rules, one at a time
package crank.common_test

import data.crank.common

id := "spiffe://crank.local/worker/streaming"

valid_input := {
	"identity": {"spiffe_id": id, "trust_domain": "crank.local"},
	"action": {"verb": "stream", "capability": "text_events"},
	"context": {"now_ns": "1795514400000000000", "decision_id": "d-1"},
}

patched(path, value) := json.patch(valid_input, [{"op": "add", "path": path, "value": value}])

without(path) := json.remove(valid_input, [path])

test_an_unlisted_code_makes_no_reason if not common.reason("made_up", ["text"])

test_every_listed_code_makes_a_reason if {
	every code in common.reason_codes { common.reason(code, ["a", "b"]) == {"code": code, "message": "ab"} }
}

test_a_valid_input_has_no_faults if common.input_faults == set() with input as valid_input

test_the_plans_short_input_has_no_faults if {
	common.input_faults == set() with input as {
		"identity": {"spiffe_id": id},
		"action": {"verb": "stream", "capability": "text_events"},
	}
}

test_a_spiffe_id_that_is_none_is_a_fault[note] if {
	some note, value in {
		"number": 1, "null": null, "list": [id], "object": {"id": id}, "empty": "",
		"https": "https://crank.local/worker/streaming", "upper case": "SPIFFE://crank.local/worker/streaming",
	}
	some fault in common.input_faults with input as patched("/identity/spiffe_id", value)
	fault == "identity.spiffe_id must be a SPIFFE ID"
}

test_a_missing_identity_is_a_fault if {
	"identity.spiffe_id must be a SPIFFE ID" in common.input_faults with input as without("/identity")
}

test_an_input_that_is_no_object_is_a_fault[note] if {
	some note, value in {"null": null, "list": [], "text": "x", "number": 1, "true": true}
	"identity.spiffe_id must be a SPIFFE ID" in common.input_faults with input as value
}

test_another_trust_domain_is_a_fault[note] if {
	some note, value in {"other": "crank.locals", "prefix": "crank", "number": 7, "null": null, "empty": "", "list": []}
	common.input_faults == {"identity.trust_domain must be the trust domain of identity.spiffe_id"} with input as patched(
		"/identity/trust_domain",
		value,
	)
}

test_a_clock_that_is_none_is_a_fault[note] if {
	some note, value in {
		"number": 1795514400000000000, "null": null, "false": false, "empty": "", "sign": "-1", "exponent": "1e18",
		"space": " 1", "twenty digits": "17955144000000000000", "newline": "1\n", "list": [], "object": {},
	}
	question := patched("/context/now_ns", value)
	faults := common.input_faults with input as question
	faults == {"context.now_ns must be Unix nanoseconds in decimal digits, as a string"}
	not common.now_ns with input as question
}

test_the_clock_is_read_to_the_nanosecond if common.now_ns == 1795514400000000001 with input as patched(
	"/context/now_ns",
	"1795514400000000001",
)

test_an_origin_that_is_none_is_a_fault[note] if {
	some note, value in {"number": 1, "null": null, "false": false, "empty": "", "list": [id], "https": "https://a/b"}
	faults := common.input_faults with input as patched("/context/origin", value)
	faults == {"context.origin must be a SPIFFE ID"}
	not common.is_well_formed with input as patched("/context/origin", value)
}

test_a_depth_that_is_none_is_a_fault[note] if {
	some note, value in {"text": "1", "null": null, "false": false, "negative": -1, "fraction": 0.5, "list": []}
	faults := common.input_faults with input as patched("/context/depth", value)
	faults == {"context.depth must be a whole number that is not negative"}
	not common.is_well_formed with input as patched("/context/depth", value)
}

test_a_chain_is_read_from_the_input if {
	question := json.patch(valid_input, [
		{"op": "add", "path": "/context/origin", "value": "spiffe://crank.local/worker/client"},
		{"op": "add", "path": "/context/depth", "value": 3},
	])
	common.is_well_formed with input as question
	common.origin == "spiffe://crank.local/worker/client" with input as question
	common.depth == 3 with input as question
}

test_an_input_without_a_chain_is_a_direct_call if {
	every question in [valid_input, without("/context")] {
		common.is_well_formed with input as question
		common.origin == id with input as question
		common.depth == 0 with input as question
	}
}

test_decision_id_is_echoed if common.decision_id == "d-1" with input as valid_input

test_decision_id_is_null_without_a_text[note] if {
	some note, value in {"number": 1, "list": ["d"], "null": null}
	common.decision_id == null with input as patched("/context/decision_id", value)
}

test_decision_id_is_null_when_absent if common.decision_id == null with input as without("/context")

test_words[value] if {
	some value in ["a", "text_events", "v2", concat("", ["a", substring(long, 0, 63)])]
	common.is_word(value)
}

test_no_words[value] if {
	some value in [
		"", "A", "_a", "2a", "a-b", "a:b", "a b", "a\n", "a\u0000", "ａ", "é", "K", "*", "a.b", long, 1, null,
		["a"], {"a": 1}, true,
	]
	not common.is_word(value)
}

test_capabilities[value] if {
	some value in ["stream:text_events", "a:b"]
	common.is_capability(value)
}

test_no_capabilities[value] if {
	some value in ["stream", ":", "a:", ":b", "a:b:c", "a:B", "a:b\n", "a: b", 1, null, ["a:b"]]
	not common.is_capability(value)
}

test_a_manifest_is_an_object[note] if {
	some note, value in {"null": null, "list": [], "text": "x", "false": false}
	not common.manifest with input as valid_input with data.workers as {id: value}
}

test_a_block_counts_whatever_its_value_is[note] if {
	some note, value in {"text": "key stolen", "null": null, "false": false, "object": {}, "zero": 0, "empty": ""}
	common.identity_blocked with input as valid_input with data.blocked as {"identities": {id: value}}
	common.capability_blocked("a:b") with data.blocked as {"capabilities": {"a:b": value}}
}

test_nobody_else_is_blocked if {
	blocks := {"identities": {"spiffe://crank.local/worker/s": ""}}
	not common.identity_blocked with input as valid_input with data.blocked as blocks
	not common.capability_blocked("a:c") with data.blocked as {"capabilities": {"a:b": ""}}
}

test_blocks_of_the_right_shape_are_no_fault if {
	common.data_faults == set() with data.blocked as {"identities": {}, "capabilities": {}}
	common.data_faults == set() with data.blocked as {}
}

test_blocks_of_the_wrong_shape_are_a_fault if {
	common.data_faults == {"blocked must be an object"} with data.blocked as []
	common.data_faults == {"blocked.identities must be an object"} with data.blocked as {"identities": [id]}
	common.data_faults == {"blocked.capabilities must be an object"} with data.blocked as {"capabilities": null}
}

long := "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcde"
