# METADATA
# description: Who may offer what; every denial is asserted with its reason
package crank.worker_registration_test

import data.crank.common
import data.crank.worker_registration as registration

streaming := "spiffe://crank.local/worker/streaming"

provided := ["stream:sse_events", "stream:text_events"]

workers := {
	streaming: {"worker_id": "worker-streaming", "provided_capabilities": provided},
	"spiffe://crank.local/worker/caller": {"worker_id": "worker-caller", "required_capabilities": provided},
	"spiffe://crank.local/worker/nameless": {"provided_capabilities": provided},
}

offering(id, worker_id, capabilities) := {
	"identity": {"spiffe_id": id, "trust_domain": "crank.local"},
	"action": {"verb": "register", "capability": "worker"},
	"context": {"now_ns": "1795514400000000000", "decision_id": "0193-r"},
	"resource": {"worker_id": worker_id, "worker_url": "https://127.0.0.1:8500", "capabilities": capabilities},
}

usual := offering(streaming, "worker-streaming", provided)

decided(question) := answer if {
	answer := registration.decision with input as question
		with data.workers as workers
		with data.exceptions as {streaming: {"temporary_allow_all": true, "expires_after": 1795514400000000001}}
		with data.blocked as {"identities": {}, "capabilities": {}}
		with data.enforcement as {"default": "shadow"}
}

codes(decision) := [entry.code | some entry in decision.reasons]

test_allows_what_the_manifest_provides if {
	decided(usual) == {
		"allow": true,
		"mode": "enforce",
		"grounds": ["declared"],
		"reasons": [],
		"exception": null,
		"policy_version": "1.0.0",
		"decision_id": "0193-r",
	}
}

test_allows_a_part_of_it if decided(offering(streaming, "worker-streaming", ["stream:sse_events"])).allow

test_allows_a_replica[worker_id] if {
	some worker_id in ["worker-streaming.1", "worker-streaming.a-Z9"]
	decided(offering(streaming, worker_id, provided)).allow
}

test_compares_whole_ids_and_capabilities[note] if {
	some note, question in {
		"id longer": offering("spiffe://crank.local/worker/streaming2", "worker-streaming", provided),
		"id shorter": offering("spiffe://crank.local/worker/stream", "worker-streaming", provided),
		"id below": offering("spiffe://crank.local/worker/streaming/x", "worker-streaming", provided),
		"id above": offering("spiffe://crank.local/worker", "worker-streaming", provided),
		"other trust domain": json.remove(
			offering("spiffe://crank.local.evil/worker/streaming", "worker-streaming", provided),
			["/identity/trust_domain"],
		),
		"capability longer": offering(streaming, "worker-streaming", ["stream:sse_events2"]),
		"capability shorter": offering(streaming, "worker-streaming", ["stream:sse"]),
		"other verb": offering(streaming, "worker-streaming", ["invoke:sse_events"]),
	}
	decision := decided(question)
	decision.allow == false
	count(decision.reasons) == 1
}

test_denies_another_worker_id[worker_id] if {
	some worker_id in [
		"worker-email", "worker-streaming2", "worker-streaming.", "worker-streaming.a.b", "worker-streaming.a_b",
		"worker-streaming.é", "worker-streaming.a\n", "worker-streaming/1", "worker-stream", "Worker-streaming",
	]
	decision := decided(offering(streaming, worker_id, provided))
	decision.allow == false
	decision.reasons == [{
		"code": "worker_id_mismatch",
		"message": concat("", [
			"Worker spiffe://crank.local/worker/streaming not authorized to register",
			" under this worker_id: it is not the manifest's",
		]),
	}]
}

test_denies_when_the_manifest_names_no_worker_id[worker_id] if {
	some worker_id in ["worker-nameless", "undefined", ".1"]
	decision := decided(offering("spiffe://crank.local/worker/nameless", worker_id, provided))
	codes(decision) == ["worker_id_mismatch"]
}

test_denies_a_capability_that_is_not_provided_though_an_exception_is_live if {
	decision := decided(offering(streaming, "worker-streaming", ["stream:sse_events", "convert:document_to_pdf"]))
	decision.allow == false
	decision.exception == null
	decision.reasons == [{
		"code": "capability_not_provided",
		"message": "Worker spiffe://crank.local/worker/streaming not authorized to provide convert:document_to_pdf",
	}]
}

test_names_ten_of_many_capabilities if {
	names := [concat("", ["convert:c", format_int(i, 10)]) | some i in numbers.range(100, 111)]
	decision := decided(offering(streaming, "worker-streaming", names))
	endswith(decision.reasons[0].message, "convert:c108, convert:c109 and 2 more")
}

test_says_which_field_a_manifest_lacks if {
	decision := decided(offering("spiffe://crank.local/worker/caller", "worker-caller", provided))
	decision.allow == false
	decision.reasons == [{
		"code": "provided_capabilities_missing",
		"message": concat("", [
			"Worker spiffe://crank.local/worker/caller not authorized to register",
			": its manifest has no provided_capabilities",
		]),
	}]
}

test_says_so_of_a_field_that_is_no_list[note] if {
	some note, value in {"text": "stream:sse_events", "object": {"a": "stream:sse_events"}, "null": null}
	decision := registration.decision with input as usual
		with data.workers as {streaming: {"worker_id": "worker-streaming", "provided_capabilities": value}}
	codes(decision) == ["provided_capabilities_missing"]
}

test_denies_an_unknown_worker[note] if {
	some note, [capabilities, options] in {
		"two capabilities": [["b:b", "a:a"], "--provides a:a --provides b:b"],
		"ten": [ten, concat(" ", ["--provides", concat(" --provides ", sort(ten))])],
		"eleven": [array.concat(ten, ["z:z"]), "--provides verb:name"],
		"none": [[], "--provides verb:name"],
	}
	decision := decided(offering("spiffe://crank.local/worker/stranger", "worker-stranger", capabilities))
	message := concat("", [
		"Worker spiffe://crank.local/worker/stranger not authorized to register: no manifest; write it with: ",
		"crank manifest add stranger --spiffe-id spiffe://crank.local/worker/stranger ",
		options,
	])
	decision.reasons == [{"code": "worker_unknown", "message": message}]
}

ten := [concat("", ["a:a", format_int(number, 10)]) | some number in numbers.range(0, 9)]

test_denies_a_blocked_identity if {
	decision := registration.decision with input as usual
		with data.workers as workers
		with data.blocked as {"identities": {streaming: "key stolen"}}
	decision.allow == false
	codes(decision) == ["identity_blocked"]
}

test_denies_a_blocked_capability if {
	decision := registration.decision with input as usual
		with data.workers as workers
		with data.blocked as {"capabilities": {"stream:sse_events": "outage"}}
	decision.allow == false
	decision.reasons == [{
		"code": "capability_blocked",
		"message": "Worker spiffe://crank.local/worker/streaming not authorized to provide blocked stream:sse_events",
	}]
}

test_denies_when_the_block_lists_have_the_wrong_shape if {
	decision := registration.decision with input as usual with data.workers as workers with data.blocked as "none"
	codes(decision) == ["policy_data_malformed"]
}

test_malformed_input_is_denied_with_a_reason[note] if {
	some note, question in {
		"no resource": json.remove(usual, ["/resource"]),
		"no worker_id": json.remove(usual, ["/resource/worker_id"]),
		"no worker_url": json.remove(usual, ["/resource/worker_url"]),
		"no capabilities": json.remove(usual, ["/resource/capabilities"]),
		"no identity": json.remove(usual, ["/identity"]),
		"empty": {}, "null": null, "text": "x", "list": [],
		"empty worker_id": offering(streaming, "", provided),
		"worker_id a list": offering(streaming, ["worker-streaming"], provided),
		"capabilities a text": offering(streaming, "worker-streaming", "stream:sse_events"),
		"capabilities an object": offering(streaming, "worker-streaming", {"a": "stream:sse_events"}),
		"a capability a number": offering(streaming, "worker-streaming", ["stream:sse_events", 1]),
		"a capability without colon": offering(streaming, "worker-streaming", ["stream"]),
		"a capability in three parts": offering(streaming, "worker-streaming", ["stream:sse:events"]),
		"a capability as a pattern": offering(streaming, "worker-streaming", ["stream:*"]),
		"a capability in upper case": offering(streaming, "worker-streaming", ["Stream:sse_events"]),
		"a capability with a line end": offering(streaming, "worker-streaming", ["stream:sse_events\n"]),
		"a capability null": offering(streaming, "worker-streaming", [null]),
		"capabilities null": offering(streaming, "worker-streaming", null),
		"worker_id null": offering(streaming, null, provided),
		"worker_url a list": json.patch(usual, [{"op": "replace", "path": "/resource/worker_url", "value": []}]),
		"resource a text": object.union(usual, {"resource": "worker-streaming"}),
		"clock a number": json.patch(usual, [{"op": "replace", "path": "/context/now_ns", "value": 1}]),
		"spiffe_id a number": offering(7, "worker-streaming", provided),
	}
	decision := decided(question)
	decision.allow == false
	{entry.code | some entry in decision.reasons} == {"input_malformed"}
	sentences := registration.deny with input as question with data.workers as workers
	count(sentences) > 0
}

test_deny_is_empty_for_an_allow if registration.deny == set() with input as usual with data.workers as workers

test_no_other_code_can_appear if {
	questions := [
		usual, {}, offering(streaming, "x", ["a:b"]), offering("spiffe://crank.local/worker/x", "x", []),
		offering("spiffe://crank.local/worker/caller", "worker-caller", []),
	]
	blocks := [{}, {"identities": {streaming: ""}}, {"capabilities": {"stream:sse_events": ""}}, {"identities": []}]
	seen := {entry.code |
		some question in questions
		some block in blocks
		decision := registration.decision with input as question with data.workers as workers with data.blocked as block
		some entry in decision.reasons
	}
	object.subset(common.reason_codes, seen)
	seen == {
		"capability_blocked", "capability_not_provided", "identity_blocked", "input_malformed", "policy_data_malformed",
		"provided_capabilities_missing", "worker_id_mismatch", "worker_unknown",
	}
}
