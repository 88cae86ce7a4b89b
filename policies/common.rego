# METADATA
# title: Words that both decisions share
# description: |
#   Version, closed list of reason codes, input checks, blocks, manifests and clock. Pure: the time is an input
#   (input.context.now_ns), every builtin used here exists in OPA's wasm as well.
package crank.common

policy_version := "1.0.0"

# Every code that a decision may carry. `reason` is undefined for any other.
reason_codes := {
	"capability_blocked",
	"capability_not_declared",
	"capability_not_provided",
	"exception_expired",
	"exception_invalid",
	"identity_blocked",
	"input_malformed",
	"policy_data_malformed",
	"provided_capabilities_missing",
	"worker_id_mismatch",
	"worker_unknown",
}

# 90 days. An expiry further ahead than this is a typing error or an exception without an end: it does not count.
max_exception_lifetime_ns := 7776000000000000

# METADATA
# description: A reason of the closed list
# scope: document
reason(code, parts) := {"code": code, "message": concat("", parts)} if code in reason_codes

# METADATA
# description: The caller, once input_faults is empty
# scope: document
spiffe_id := input.identity.spiffe_id

default decision_id := null

# METADATA
# description: Echoed, so that the controller knows that the answer belongs to its question
# scope: document
decision_id := input.context.decision_id if is_string(input.context.decision_id)

# METADATA
# description: Unix time in nanoseconds; undefined without a clock in the input, and then no exception applies
# scope: document
now_ns := to_number(input.context.now_ns) if _is_clock(input.context.now_ns)

# METADATA
# description: The parts of the input that both questions have are sound; exactly then input_faults is empty
# scope: document
is_well_formed if {
	_has_spiffe_id
	not _has_wrong_trust_domain
	not _has_wrong_clock
}

# METADATA
# description: What is wrong with them
# scope: document
input_faults contains "identity.spiffe_id must be a SPIFFE ID" if not _has_spiffe_id

input_faults contains "identity.trust_domain must be the trust domain of identity.spiffe_id" if {
	_has_wrong_trust_domain
}

input_faults contains "context.now_ns must be Unix nanoseconds in decimal digits, as a string" if {
	_has_wrong_clock
}

# METADATA
# description: One word of a capability, as the controller's own parser has it
# scope: document
is_word(value) if {
	is_string(value)
	value != ""
	count(value) <= 64
	_only(value, "abcdefghijklmnopqrstuvwxyz0123456789_")
	trim_left(value, "0123456789_") == value
}

# METADATA
# description: A capability, verb:name
# scope: document
is_capability(value) if {
	is_string(value)
	words := split(value, ":")
	count(words) == 2
	every word in words { is_word(word) }
}

# METADATA
# description: The caller's manifest; undefined for a worker that nobody declared
# scope: document
manifest := data.workers[spiffe_id] if is_object(data.workers[spiffe_id])

# METADATA
# description: The identity is on the block list. Any entry counts, whatever its value is, null and false too
# scope: document
identity_blocked if _is_present(data.blocked.identities[spiffe_id])

# METADATA
# description: The capability is on the block list
# scope: document
capability_blocked(capability) if _is_present(data.blocked.capabilities[capability])

# METADATA
# description: A block list of the wrong shape would block nobody. That fails closed
# scope: document
data_faults contains "blocked must be an object" if type_name(data.blocked) != "object"

data_faults contains concat("", ["blocked.", section, " must be an object"]) if {
	some section in ["identities", "capabilities"]
	type_name(data.blocked[section]) != "object"
}

# A call with an undefined argument is undefined.
_is_present(value) if type_name(value) != ""

_has_spiffe_id if {
	is_string(input.identity.spiffe_id)
	startswith(input.identity.spiffe_id, "spiffe://")
}

_has_wrong_trust_domain if {
	domain := input.identity.trust_domain
	not _in_trust_domain(domain)
}

_has_wrong_clock if {
	value := input.context.now_ns
	not _is_clock(value)
}

_in_trust_domain(domain) if {
	is_string(domain)
	_has_spiffe_id
	startswith(input.identity.spiffe_id, concat("", ["spiffe://", domain, "/"]))
}

_is_clock(value) if {
	is_string(value)
	value != ""
	count(value) <= 19
	_only(value, "0123456789")
}

# Instead of a regular expression: those cost 50 us each in wasm.
_only(value, letters) if trim(value, letters) == ""
