# METADATA
# description: How long a controller may repeat an answer (valid_until_ns)
package crank.validity_test

import data.crank.capability_access as access
import data.crank.common

streaming := "spiffe://crank.local/worker/streaming"

now := 1795514400000000000

workers := {streaming: {"worker_id": "worker-streaming", "required_capabilities": ["stream:text_events"]}}

asking(id, verb, name) := {
	"identity": {"spiffe_id": id, "trust_domain": "crank.local"},
	"action": {"verb": verb, "capability": name},
	"context": {"now_ns": format_int(now, 10), "decision_id": "0193-d", "origin": id, "depth": 0},
}

text_events := asking(streaming, "stream", "text_events")

to_pdf := asking(streaming, "convert", "document_to_pdf")

no_blocks := {"identities": {}, "capabilities": {}}

end_of(question, exceptions) := object.get(answer, "valid_until_ns", null) if {
	answer := access.decision with input as question
		with data.workers as workers
		with data.exceptions as exceptions
		with data.blocked as no_blocks
		with data.enforcement as {"default": "enforce"}
}

exception_from(created, expires) := {streaming: {
	"temporary_allow_all": true,
	"expires_after": expires,
	"reason": "r",
	"owner": "o",
	"created_at": created,
}}

test_an_answer_that_no_clock_changes_has_no_end if {
	end_of(text_events, {}) == common.no_end_ns
	end_of(to_pdf, {}) == common.no_end_ns
	end_of(asking("spiffe://crank.local/worker/stranger", "stream", "text_events"), {}) == common.no_end_ns
}

test_an_answer_holds_until_its_exception_ends if {
	live := exception_from("2026-11-01T00:00:00Z", now + 1)
	end_of(to_pdf, live) == "1795514400000000001"
	end_of(text_events, live) == "1795514400000000001"
}

test_nothing_is_said_of_an_exception_that_is_not_live if {
	end_of(to_pdf, exception_from("2026-11-01T00:00:00Z", now)) == null
	end_of(to_pdf, exception_from("2026-11-01T00:00:00Z", "never")) == null
}

test_nothing_is_said_where_the_input_or_the_data_is_in_doubt if {
	end_of(json.remove(text_events, ["/identity"]), {}) == null
	answer := access.decision with input as text_events
		with data.workers as workers
		with data.blocked as {"identities": {streaming: "r"}, "capabilities": {}}
	not "valid_until_ns" in object.keys(answer)
}

# An entry that concerns the call sends even a declared one the whole way.
test_a_call_of_which_more_is_said_takes_the_whole_way[note] if {
	some note, enforcement in {
		"default": {"default": "shadow"},
		"caller": {"default": "enforce", "callers": {streaming: "shadow"}},
		"capability": {"default": "enforce", "capabilities": {"stream:text_events": "shadow"}},
	}
	answer := access.decision with input as text_events
		with data.workers as workers
		with data.exceptions as {}
		with data.blocked as no_blocks
		with data.enforcement as enforcement
	answer.mode == "shadow"
	answer.grounds == ["declared"]
}

test_a_blocked_capability_takes_the_whole_way if {
	answer := access.decision with input as text_events
		with data.workers as workers
		with data.exceptions as {}
		with data.blocked as {"identities": {}, "capabilities": {"stream:text_events": "r"}}
		with data.enforcement as {}
	answer.reasons[0].code == "capability_blocked"
}
