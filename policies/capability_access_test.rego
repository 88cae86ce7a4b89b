# METADATA
# description: Who may use what; every denial is asserted with its reason
package crank.capability_access_test

import data.crank.capability_access as access
import data.crank.common

streaming := "spiffe://crank.local/worker/streaming"

now := 1795514400000000000

workers := {
	streaming: {
		"worker_id": "worker-streaming",
		"required_capabilities": ["stream:text_events", "stream:sse_events"],
	},
	"spiffe://crank.local/worker/email-classifier": {
		"worker_id": "worker-email-classifier",
		"required_capabilities": ["classify:email_category", "convert:email_to_text"],
	},
}

asking(id, verb, name) := {
	"identity": {"spiffe_id": id, "trust_domain": "crank.local"},
	"action": {"verb": verb, "capability": name},
	"context": {
		"timestamp": "2026-11-23T10:00:00.000Z",
		"now_ns": format_int(now, 10),
		"source": "controller",
		"decision_id": "0193-d",
		"priority": "normal",
	},
}

text_events := asking(streaming, "stream", "text_events")

to_pdf := asking(streaming, "convert", "document_to_pdf")

short(question) := json.remove(question, ["/context", "/identity/trust_domain"])

decided(question, exceptions) := answer if {
	answer := access.decision with input as question
		with data.workers as workers
		with data.exceptions as exceptions
		with data.blocked as {"identities": {}, "capabilities": {}}
		with data.enforcement as {"default": "enforce"}
}

codes(decision) := [entry.code | some entry in decision.reasons]

# --- declared and not declared

test_allows_a_declared_capability if {
	decided(text_events, {}) == {
		"allow": true,
		"mode": "enforce",
		"grounds": ["declared"],
		"reasons": [],
		"exception": null,
		"policy_version": "1.0.0",
		"decision_id": "0193-d",
		"valid_until_ns": "9223372036854775807",
	}
}

test_denies_an_undeclared_capability_with_the_plans_sentence if {
	decision := decided(to_pdf, {})
	decision.allow == false
	decision.grounds == []
	decision.decision_id == "0193-d"
	message := "Worker spiffe://crank.local/worker/streaming not authorized for capability convert:document_to_pdf"
	decision.reasons == [{"code": "capability_not_declared", "message": message}]
}

test_denies_an_unknown_worker if {
	decision := decided(asking("spiffe://crank.local/worker/stranger", "stream", "text_events"), {})
	decision.allow == false
	message := concat("", [
		"Worker spiffe://crank.local/worker/stranger not authorized for capability stream:text_events",
		": no manifest; write it with: crank manifest add stranger --spiffe-id spiffe://crank.local/worker/stranger",
		" --requires stream:text_events",
	])
	decision.reasons == [{"code": "worker_unknown", "message": message}]
}

test_compares_whole_ids_and_capabilities[note] if {
	some note, question in {
		"id longer": asking("spiffe://crank.local/worker/streaming2", "stream", "text_events"),
		"id shorter": asking("spiffe://crank.local/worker/stream", "stream", "text_events"),
		"id below": asking("spiffe://crank.local/worker/streaming/x", "stream", "text_events"),
		"id above": asking("spiffe://crank.local/worker", "stream", "text_events"),
		"id with a slash": asking("spiffe://crank.local/worker/streaming/", "stream", "text_events"),
		"id with two slashes": asking("spiffe://crank.local/worker//streaming", "stream", "text_events"),
		"id by a detour": asking("spiffe://crank.local/worker/x/../streaming", "stream", "text_events"),
		"id in upper case": asking("spiffe://crank.local/worker/Streaming", "stream", "text_events"),
		"id with a query": asking("spiffe://crank.local/worker/streaming?x", "stream", "text_events"),
		"id with a percent": asking("spiffe://crank.local/worker/%73treaming", "stream", "text_events"),
		"id with a line end": asking("spiffe://crank.local/worker/streaming\n", "stream", "text_events"),
		"name longer": asking(streaming, "stream", "text_events2"),
		"name shorter": asking(streaming, "stream", "text"),
		"other verb": asking(streaming, "invoke", "text_events"),
		"verb longer": asking(streaming, "streams", "text_events"),
		"verb shorter": asking(streaming, "strea", "text_events"),
		"words swapped": asking(streaming, "text_events", "stream"),
		"underscore moved": asking(streaming, "stream_text", "events"),
	}
	decided(question, {}).allow == false
}

test_denies_when_the_manifests_list_is_no_list[note] if {
	some note, value in {"text": "stream:text_events", "object": {"a": "stream:text_events"}, "null": null, "true": true}
	decision := access.decision with input as text_events
		with data.workers as {streaming: {"worker_id": "worker-streaming", "required_capabilities": value}}
	decision.allow == false
	codes(decision) == ["capability_not_declared"]
}

test_denies_without_any_data if {
	decision := access.decision with input as text_events with data.workers as {}
	codes(decision) == ["worker_unknown"]
	decision.mode == "enforce"
}

# --- the plan's own short questions

test_allow_and_deny_answer_the_short_input if {
	access.allow with input as short(text_events) with data.workers as workers
	access.deny == set() with input as short(text_events) with data.workers as workers
	access.allow == false with input as short(to_pdf) with data.workers as workers
	some message in access.deny with input as short(to_pdf) with data.workers as workers
	contains(message, "not authorized")
}

test_the_short_input_gets_a_decision_without_id if {
	decision := decided(short(text_events), {})
	decision.allow
	decision.decision_id == null
}

test_no_exception_applies_without_a_clock if {
	decision := decided(short(to_pdf), {streaming: all_until(now + 1)})
	decision.allow == false
	codes(decision) == ["capability_not_declared"]
	decision.exception == null
}

# --- exceptions

until(expiry) := {"expires_after": expiry, "reason": "r", "owner": "o", "created_at": "2026-11-24T10:00:00Z"}

all_until(expiry) := object.union(until(expiry), {"temporary_allow_all": true})

pdf_until(expiry) := object.union(until(expiry), {"capabilities": ["convert:document_to_pdf"]})

test_a_live_exception_for_everything_allows_and_is_named if {
	decision := decided(to_pdf, {streaming: all_until(now + 1)})
	decision.allow
	decision.grounds == ["exception"]
	decision.exception == "spiffe://crank.local/worker/streaming#*"
	decision.reasons == []
}

test_a_live_exception_for_a_capability_allows_and_is_named if {
	decision := decided(to_pdf, {streaming: pdf_until(now + 1)})
	decision.allow
	decision.exception == "spiffe://crank.local/worker/streaming#convert:document_to_pdf"
}

test_an_exception_covers_only_its_capabilities if {
	decision := decided(asking(streaming, "convert", "pdf_to_text"), {streaming: pdf_until(now + 1)})
	codes(decision) == ["capability_not_declared"]
	decision.exception == null
}

test_an_exception_covers_only_its_identity[id] if {
	some id in [
		"spiffe://crank.local/worker/stream", "spiffe://crank.local/worker/streaming2", "spiffe://crank.local/worker/",
		"spiffe://crank.local/", "spiffe://crank.local/worker/streaming/", "*", "spiffe://crank.local/worker/*", "",
	]
	decision := decided(to_pdf, {id: all_until(now + 1)})
	codes(decision) == ["capability_not_declared"]
	decision.exception == null
}

test_an_exception_works_without_a_manifest if {
	stranger := "spiffe://crank.local/worker/stranger"
	decided(asking(stranger, "convert", "document_to_pdf"), {stranger: all_until(now + 1)}).allow
}

test_an_exception_ends_to_the_nanosecond if {
	decided(to_pdf, {streaming: all_until(now + 1)}).allow
	codes(decided(to_pdf, {streaming: all_until(now)})) == ["capability_not_declared", "exception_expired"]
	codes(decided(to_pdf, {streaming: all_until(now - 1)})) == ["capability_not_declared", "exception_expired"]
}

test_an_exception_may_last_ninety_days_and_not_a_nanosecond_more if {
	longest := now + common.max_exception_lifetime_ns
	decided(to_pdf, {streaming: all_until(longest)}).allow
	codes(decided(to_pdf, {streaming: all_until(longest + 1)})) == ["capability_not_declared", "exception_invalid"]
}

test_an_expiry_that_is_not_a_time_never_allows[note] if {
	some note, expiry in {
		"text": "2999-01-01T00:00:00Z", "digits": "1795514400000000001", "list": [now + 1], "object": {"ns": now + 1},
		"true": true, "false": false, "null": null, "1e400": 1e400, "empty": "",
	}
	decision := decided(to_pdf, {streaming: all_until(expiry)})
	decision.allow == false
	decision.exception == "spiffe://crank.local/worker/streaming#*"
	codes(decision) == ["capability_not_declared", "exception_invalid"]
}

test_an_exception_without_expiry_never_allows if {
	codes(decided(to_pdf, {streaming: {"temporary_allow_all": true}})) == ["capability_not_declared", "exception_invalid"]
}

test_a_negative_expiry_is_over if {
	codes(decided(to_pdf, {streaming: all_until(-1)})) == ["capability_not_declared", "exception_expired"]
}

test_allow_all_must_be_true_itself[note] if {
	some note, value in {"text": "true", "one": 1, "object": {}, "list": [true], "null": null, "false": false}
	entry := object.union(until(now + 1), {"temporary_allow_all": value})
	codes(decided(to_pdf, {streaming: entry})) == ["capability_not_declared"]
}

test_an_exceptions_capabilities_must_be_a_list[note] if {
	some note, value in {"text": "convert:document_to_pdf", "object": {"a": "convert:document_to_pdf"}, "star": ["*"]}
	entry := object.union(until(now + 1), {"capabilities": value})
	decided(to_pdf, {streaming: entry}).allow == false
}

test_an_exception_that_is_no_object_counts_for_nothing[note] if {
	some note, value in {"true": true, "text": "all", "list": [{"temporary_allow_all": true}], "null": null}
	codes(decided(to_pdf, {streaming: value})) == ["capability_not_declared"]
}

test_a_declared_capability_does_not_mention_an_exception_that_is_over if {
	decision := decided(text_events, {streaming: all_until(now)})
	decision.allow
	decision.grounds == ["declared"]
	decision.exception == null
}

test_both_grounds_are_named if {
	decided(text_events, {streaming: all_until(now + 1)}).grounds == ["declared", "exception"]
}

# --- blocks

blocked(question, blocks) := answer if {
	answer := access.decision with input as question
		with data.workers as workers
		with data.exceptions as {streaming: all_until(now + 1)}
		with data.blocked as blocks
		with data.enforcement as {"default": "shadow"}
}

test_a_blocked_identity_is_denied_whatever_else_holds if {
	decision := blocked(text_events, {"identities": {streaming: "key stolen"}, "capabilities": {}})
	decision.allow == false
	decision.mode == "enforce"
	decision.grounds == []
	decision.exception == null
	message := concat("", [
		"Worker spiffe://crank.local/worker/streaming not authorized for capability stream:text_events",
		": the identity is blocked",
	])
	decision.reasons == [{"code": "identity_blocked", "message": message}]
}

test_a_blocked_capability_is_denied_whatever_else_holds if {
	decision := blocked(text_events, {"identities": {}, "capabilities": {"stream:text_events": "outage"}})
	decision.allow == false
	decision.mode == "enforce"
	codes(decision) == ["capability_blocked"]
}

test_both_blocks_are_named if {
	decision := blocked(text_events, {"identities": {streaming: ""}, "capabilities": {"stream:text_events": ""}})
	codes(decision) == ["capability_blocked", "identity_blocked"]
}

test_a_block_concerns_nobody_else if {
	blocks := {"identities": {"spiffe://crank.local/worker/s": ""}, "capabilities": {"stream:text": ""}}
	blocked(text_events, blocks).allow
}

test_block_lists_of_the_wrong_shape_deny_everything if {
	decision := blocked(text_events, {"identities": [streaming]})
	decision.allow == false
	decision.mode == "enforce"
	decision.reasons == [{
		"code": "policy_data_malformed",
		"message": "Request not authorized: blocked.identities must be an object",
	}]
}

# --- malformed input

long_word := concat("", ["a" | some _ in numbers.range(1, 65)])

clocked(value) := json.patch(text_events, [{"op": "replace", "path": "/context/now_ns", "value": value}])

malformed := {
	"no identity": json.remove(text_events, ["/identity"]),
	"no action": json.remove(text_events, ["/action"]),
	"no verb": json.remove(text_events, ["/action/verb"]),
	"no capability": json.remove(text_events, ["/action/capability"]),
	"empty": {}, "null": null, "text": "x", "list": [], "number": 1, "true": true,
	"joined words": asking(streaming, "stream:text", "events"),
	"empty verb": asking(streaming, "", "stream:text_events"),
	"no spiffe_id": json.remove(text_events, ["/identity/spiffe_id"]),
	"identity a text": object.union(text_events, {"identity": streaming}),
	"identity null": object.union(text_events, {"identity": null}),
	"action a text": object.union(text_events, {"action": "stream:text_events"}),
	"action a list": object.union(text_events, {"action": ["stream", "text_events"]}),
	"odd characters": asking(streaming, "stream", "text_events\n"),
	"space around": asking(streaming, " stream", "text_events "),
	"tab": asking(streaming, "stream", "text\tevents"),
	"nul": asking(streaming, "stream", "text_events\u0000"),
	"zero-width space": asking(streaming, "stream", "text_events\u200b"),
	"full-width letter": asking(streaming, "ｓtream", "text_events"),
	"Cyrillic letter": asking(streaming, "stream", "tеxt_events"),
	"Kelvin sign": asking(streaming, "invo\u212ae", "hello_world"),
	"accent": asking(streaming, "stréam", "text_events"),
	"emoji": asking(streaming, "stream", "💥"),
	"right to left": asking(streaming, "stream", "\u202etext_events"),
	"slash": asking(streaming, "stream", "../text_events"),
	"percent": asking(streaming, "stream", "text%5fevents"),
	"quote": asking(streaming, "stream", "text_events\""),
	"too long": asking(streaming, "stream", long_word),
	"name empty": asking(streaming, "stream", ""),
	"verb null": asking(streaming, null, "text_events"),
	"verb true": asking(streaming, true, "text_events"),
	"verb an object": asking(streaming, {"stream": 1}, "text_events"),
	"name a number": asking(streaming, "stream", 7),
	"clock a number": clocked(now),
	"clock a date": clocked("2026-11-24T10:00:00Z"),
	"clock null": clocked(null),
	"upper case": asking(streaming, "Stream", "text_events"),
	"star": asking(streaming, "*", "*"),
	"verb a number": asking(streaming, 1, "text_events"),
	"capability a list": asking(streaming, "stream", ["text_events"]),
	"id an object": asking({}, "stream", "text_events"),
	"other trust domain": asking("spiffe://other.test/worker/streaming", "stream", "text_events"),
}

test_malformed_input_is_denied_with_a_reason[note] if {
	some note, question in malformed
	decision := decided(question, {streaming: all_until(now + 1)})
	decision.allow == false
	decision.mode == "enforce"
	{entry.code | some entry in decision.reasons} == {"input_malformed"}
	sentences := access.deny with input as question with data.workers as workers
	every sentence in sentences { startswith(sentence, "Request not authorized: ") }
	count(sentences) > 0
}

# --- mode

shadowed(question, enforcement) := answer if {
	answer := access.decision with input as question
		with data.workers as workers
		with data.enforcement as enforcement
}

test_shadow_by_default_still_denies_and_says_so if {
	decision := shadowed(to_pdf, {"default": "shadow", "callers": {}, "capabilities": {}})
	decision.allow == false
	decision.mode == "shadow"
	codes(decision) == ["capability_not_declared"]
}

test_an_allow_carries_the_mode_too if shadowed(text_events, {"default": "shadow"}).mode == "shadow"

test_the_mode_is_chosen[note] if {
	some note, row in {
		"caller before default": {"enforcement": {"default": "shadow", "callers": {streaming: "enforce"}}, "mode": "enforce"},
		"caller to shadow": {"enforcement": {"default": "enforce", "callers": {streaming: "shadow"}}, "mode": "shadow"},
		"capability to shadow": {
			"enforcement": {"default": "enforce", "capabilities": {"convert:document_to_pdf": "shadow"}},
			"mode": "shadow",
		},
		"enforce wins": {
			"enforcement": {"callers": {streaming: "shadow"}, "capabilities": {"convert:document_to_pdf": "enforce"}},
			"mode": "enforce",
		},
		"both shadow": {
			"enforcement": {"callers": {streaming: "shadow"}, "capabilities": {"convert:document_to_pdf": "shadow"}},
			"mode": "shadow",
		},
		"unknown default": {"enforcement": {"default": "off"}, "mode": "enforce"},
		"unknown caller mode": {"enforcement": {"default": "shadow", "callers": {streaming: "off"}}, "mode": "enforce"},
		"no default": {"enforcement": {}, "mode": "enforce"},
		"no object": {"enforcement": "shadow", "mode": "enforce"},
	}
	shadowed(to_pdf, row.enforcement).mode == row.mode
}

test_the_longest_entry_of_the_caller_counts[note] if {
	deep := "spiffe://crank.local/worker/team/a"
	some note, row in {
		"trust domain": {"callers": {"spiffe://crank.local/": "shadow"}, "mode": "shadow"},
		"path": {"callers": {"spiffe://crank.local/worker/team/": "shadow"}, "mode": "shadow"},
		"exact before prefix": {
			"callers": {deep: "enforce", "spiffe://crank.local/worker/team/": "shadow"},
			"mode": "enforce",
		},
		"prefix before trust domain": {
			"callers": {"spiffe://crank.local/": "enforce", "spiffe://crank.local/worker/": "shadow"},
			"mode": "shadow",
		},
		"longer enforces": {
			"callers": {"spiffe://crank.local/": "shadow", "spiffe://crank.local/worker/team/": "enforce"},
			"mode": "enforce",
		},
		"half a segment": {"callers": {"spiffe://crank.local/worker/te": "shadow"}, "mode": "enforce"},
		"half a segment and a slash": {"callers": {"spiffe://crank.local/worker/te/": "shadow"}, "mode": "enforce"},
		"no slash": {"callers": {"spiffe://crank.local/worker/team": "shadow"}, "mode": "enforce"},
		"its own prefix": {"callers": {concat("", [deep, "/"]): "shadow"}, "mode": "enforce"},
		"other trust domain": {"callers": {"spiffe://crank.local.evil/": "shadow"}, "mode": "enforce"},
		"scheme only": {"callers": {"spiffe://": "shadow"}, "mode": "enforce"},
		"enforce by capability": {
			"callers": {deep: "shadow"},
			"capabilities": {"convert:document_to_pdf": "enforce"},
			"mode": "enforce",
		},
	}
	shadowed(asking(deep, "convert", "document_to_pdf"), json.remove(row, ["mode"])).mode == row.mode
}

test_enforces_when_the_enforcement_data_is_not_understood[note] if {
	some note, enforcement in {
		"unknown member": {"default": "shadow", "overrides": {}},
		"callers a list": {"default": "shadow", "callers": [streaming]},
		"callers a text": {"default": "shadow", "callers": "all"},
		"capabilities null": {"default": "shadow", "capabilities": null},
		"default an object": {"default": {}, "callers": {streaming: "shadow"}},
		"a list": ["shadow"],
		"caller null": {"default": "shadow", "callers": {streaming: null}},
		"caller false": {"default": "shadow", "callers": {streaming: false}},
		"capability upper case": {"default": "shadow", "capabilities": {"convert:document_to_pdf": "SHADOW"}},
	}
	shadowed(to_pdf, enforcement).mode == "enforce"
}

test_an_id_without_a_path_has_no_prefixes if {
	bare := asking("spiffe://crank.local", "stream", "text_events")
	question := json.remove(bare, ["/identity/trust_domain"])
	enforcement := {"callers": {"spiffe://crank.local/": "shadow", "spiffe:///": "shadow"}}
	shadowed(question, enforcement).mode == "enforce"
}

test_malformed_input_is_enforced_in_shadow if shadowed({}, {"default": "shadow"}).mode == "enforce"

# --- the closed list

test_no_other_code_can_appear if {
	questions := [text_events, to_pdf, short(to_pdf), {}, asking("spiffe://crank.local/worker/x", "stream", "text_events")]
	blocks := [{}, {"identities": {streaming: ""}}, {"capabilities": {"convert:document_to_pdf": ""}}, {"identities": []}]
	expiries := [now - 1, now + 1, "soon"]
	seen := {entry.code |
		some question in questions
		some block in blocks
		some expiry in expiries
		decision := access.decision with input as question
			with data.workers as workers
			with data.blocked as block
			with data.exceptions as {streaming: all_until(expiry)}
		some entry in decision.reasons
	}
	object.subset(common.reason_codes, seen)
	seen == {
		"capability_blocked", "capability_not_declared", "exception_expired", "exception_invalid", "identity_blocked",
		"input_malformed", "policy_data_malformed", "worker_unknown",
	}
}
