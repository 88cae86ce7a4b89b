# METADATA
# description: |
#   Checks the shipped data files against the plan. They load under two roots: by name (data.workers, as the controller
#   and the compose file do) and by folder (`opa test policies`, data.data.workers). Both work here.
package crank.data_test

import data.crank.capability_access as access
import data.crank.worker_registration as registration

legacy := "spiffe://crank.local/worker/legacy-service"

workers := data.workers

workers := data.data.workers

legacy_exception := data.exceptions[legacy]

legacy_exception := data.data[legacy]

now_ns := "1795514400000000000"

asked(name, verb, capability) := answer if {
	answer := access.decision with input as {
		"identity": {"spiffe_id": concat("", ["spiffe://crank.local/worker/", name])},
		"action": {"verb": verb, "capability": capability},
		"context": {"now_ns": now_ns},
	}
		with data.workers as workers
		with data.exceptions as {legacy: legacy_exception}
}

test_there_is_a_manifest_for_each_of_the_nine_workers if {
	{trim_prefix(id, "spiffe://crank.local/worker/") | some id, _ in workers} == {
		"document-conversion", "email-classifier", "hello-world", "image-classifier", "philosophical-analyzer",
		"semantic-search", "streaming", "zettel-manager", "zettel-repository",
	}
	every id, manifest in workers {
		manifest.worker_id == concat("", ["worker-", trim_prefix(id, "spiffe://crank.local/worker/")])
	}
}

test_streaming_may_call_what_the_plan_says_and_hello_world if {
	asked("streaming", "stream", "text_events").allow
	asked("streaming", "stream", "sse_events").allow
	asked("streaming", "invoke", "hello_world").allow
}

test_streaming_may_not_convert_documents if {
	decision := asked("streaming", "convert", "document_to_pdf")
	decision.allow == false
	decision.reasons[0].code == "capability_not_declared"
	contains(decision.reasons[0].message, "not authorized")
}

test_email_classifier_may_call_exactly_what_the_plan_says if {
	{capability | some capability in workers["spiffe://crank.local/worker/email-classifier"].required_capabilities} == {
		"classify:email_category", "classify:spam_detection", "convert:email_to_text",
	}
}

test_every_worker_may_register_what_it_provides if {
	every id, manifest in workers {
		registration.allow with data.workers as workers with input as {
			"identity": {"spiffe_id": id},
			"resource": {
				"worker_id": manifest.worker_id,
				"worker_url": "https://localhost",
				"capabilities": manifest.provided_capabilities,
			},
		}
	}
}

test_the_legacy_services_exception_is_the_plans if {
	legacy_exception.temporary_allow_all == true
	legacy_exception.expires_after == time.parse_rfc3339_ns("2025-12-31T00:00:00Z")
}

test_the_legacy_services_exception_is_over if {
	decision := asked("legacy-service", "convert", "document_to_pdf")
	decision.allow == false
	{entry.code | some entry in decision.reasons} == {"exception_expired", "worker_unknown"}
}
