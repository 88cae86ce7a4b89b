# METADATA
# description: Several decisions in one question
package crank.batch_test

import data.crank.batch
import data.crank.capability_access

streaming := "spiffe://crank.local/worker/streaming"

stranger := "spiffe://crank.local/worker/nobody"

workers := {streaming: {"worker_id": "worker-streaming", "required_capabilities": ["stream:text_events"]}}

item(who, id) := {
	"identity": {"spiffe_id": who, "trust_domain": "crank.local"},
	"action": {"verb": "stream", "capability": "text_events"},
	"context": {"now_ns": "1795514400000000000", "decision_id": id, "origin": who, "depth": 0},
}

items := [item(streaming, "a"), item(stranger, "b"), {}, "not an object", item(streaming, "c")]

test_each_item_gets_its_own_decision_in_order if {
	decisions := batch.decisions with input as {"items": items} with data.workers as workers
	[decision.allow | some decision in decisions] == [true, false, false, false, true]
	[decision.decision_id | some decision in decisions] == ["a", "b", null, null, "c"]
	decisions[1].reasons[0].code == "worker_unknown"
}

test_a_decision_is_the_same_as_alone if {
	decisions := batch.decisions with input as {"items": items} with data.workers as workers
	every at, one in items {
		alone := capability_access.decision with input as one with data.workers as workers
		decisions[at] == alone
	}
}

test_an_undefined_decision_keeps_its_place if {
	decisions := batch.decisions with input as {"items": items} with capability_access as {}
	decisions == [null, null, null, null, null]
}

test_nothing_asked_is_nothing_decided if {
	batch.decisions == [] with input as {"items": []}
}

test_32_items_are_decided if {
	many := [item(streaming, format_int(n, 10)) | some n in numbers.range(1, 32)]
	count(batch.decisions) == 32 with input as {"items": many} with data.workers as workers
}

test_a_batch_of_another_shape_is_undefined[note] if {
	some note, asked in {
		"33 items": {"items": [item(streaming, format_int(n, 10)) | some n in numbers.range(1, 33)]},
		"no items": {},
		"items that are no list": {"items": {"a": item(streaming, "a")}},
		"items that are text": {"items": "abc"},
	}
	not batch.decisions with input as asked
}
