# METADATA
# title: Rules that both decisions share
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

# METADATA
# description: |
#   How long an exception may last: data.exception_limits.max_days, 90 days by default. Undefined when it is set to
#   anything but a whole number from 1 to 366; then no exception applies.
# scope: document
max_exception_lifetime_ns := _max_exception_days * 86400000000000

# METADATA
# description: A reason of the closed list
# scope: document
reason(code, parts) := {"code": code, "message": concat("", parts)} if code in reason_codes

# METADATA
# description: The caller, once input_faults is empty
# scope: document
spiffe_id := input.identity.spiffe_id

# METADATA
# description: |
#   As valid_until_ns of a decision that no clock ends: the last instant that 64 bits hold
# scope: document
no_end_ns := "9223372036854775807"

default decision_id := null

# METADATA
# description: Echoed, so that the controller can check that the answer belongs to its question
# scope: document
decision_id := input.context.decision_id if is_string(input.context.decision_id)

# METADATA
# description: Unix time in nanoseconds; undefined without a clock in the input, and then no exception applies
# scope: document
now_ns := to_number(input.context.now_ns) if _is_clock(input.context.now_ns)

# METADATA
# description: |
#   Who made the first call of the chain to which this call belongs. The caller itself, if it calls on behalf of
#   nobody, or if the input does not say
# scope: document
origin := input.context.origin if _has_origin

origin := spiffe_id if not _has_origin

default depth := 0

# METADATA
# description: How many calls of the chain are above this one; 0 if the input does not say
# scope: document
depth := input.context.depth

# METADATA
# description: The input parts common to both questions are valid; exactly then input_faults is empty
# scope: document
is_well_formed if {
	_has_spiffe_id
	not _has_wrong_trust_domain
	not _has_wrong_clock
	not _has_wrong_origin
	not _has_wrong_depth
}

# METADATA
# description: |
#   All of these parts are there and valid, as in every input of the controller. In one rule, because most calls need
#   no more; a part of the wrong type leaves it undefined
# scope: document
is_complete if {
	startswith(input.identity.spiffe_id, concat("", ["spiffe://", input.identity.trust_domain, "/"]))
	context := input.context
	startswith(context.origin, "spiffe://")
	context.now_ns != ""
	count(context.now_ns) <= 19
	trim(context.now_ns, "0123456789") == ""
	context.depth >= 0
	floor(context.depth) == context.depth
}

# METADATA
# description: The faults of these parts
# scope: document
input_faults contains "identity.spiffe_id must be a SPIFFE ID" if not _has_spiffe_id

input_faults contains "identity.trust_domain must be the trust domain of identity.spiffe_id" if {
	_has_wrong_trust_domain
}

input_faults contains "context.now_ns must be Unix nanoseconds in decimal digits, as a string" if {
	_has_wrong_clock
}

input_faults contains "context.origin must be a SPIFFE ID" if _has_wrong_origin

input_faults contains "context.depth must be a whole number that is not negative" if _has_wrong_depth

# METADATA
# description: |
#   One word of a capability, by the same rules as the controller's parser. Of these characters, digits and the
#   underscore sort before "a", so the comparison says that it begins with a letter
# scope: document
is_word(value) if {
	is_string(value)
	value >= "a"
	count(value) <= 64
	trim(value, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
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
# description: The caller's manifest; undefined for a worker without one
# scope: document
manifest := data.workers[spiffe_id] if is_object(data.workers[spiffe_id])

# METADATA
# description: |
#   How to write the manifest of a worker without one. `options`: what it offers or calls, as options of
#   `crank manifest add`
# scope: document
no_manifest(options) := concat(" ", [hint, name, "--spiffe-id", spiffe_id, options]) if {
	hint := "no manifest; write it with: crank manifest add"
	segments := split(spiffe_id, "/")
	name := segments[count(segments) - 1]
}

# METADATA
# description: |
#   The state of an exception at an instant: "live", "expired" or "invalid". An entry is invalid if it does not match
#   policies/schemas exactly, or ends later than the maximum lifetime after its creation or after now: such an exception
#   would never end. A string is greater than every number in Rego, hence is_number.
# scope: document
exception_state(entry, at_ns) := "expired" if {
	is_number(entry.expires_after)
	entry.expires_after <= at_ns
} else := "live" if {
	is_number(entry.expires_after)
	created_ns := _unix_seconds(entry.created_at) * 1000000000
	entry.expires_after <= min([at_ns, created_ns]) + max_exception_lifetime_ns
	floor(entry.expires_after) == entry.expires_after
	_is_complete(entry)
	_has_one_scope(entry)
} else := "invalid"

# METADATA
# description: The identity is on the block list. Any entry counts, whatever its value, including null and false
# scope: document
identity_blocked if is_present(data.blocked.identities[spiffe_id])

# METADATA
# description: The capability is on the block list
# scope: document
capability_blocked(capability) if is_present(data.blocked.capabilities[capability])

# METADATA
# description: A block list of the wrong shape would block nobody, so it fails closed
# scope: document
data_faults contains "blocked must be an object" if type_name(data.blocked) != "object"

data_faults contains concat("", ["blocked.", section, " must be an object"]) if {
	some section in ["identities", "capabilities"]
	type_name(data.blocked[section]) != "object"
}

# METADATA
# description: Both block lists are there and have the right shape; then data_faults is empty
# scope: document
has_block_lists if {
	is_object(data.blocked.identities)
	is_object(data.blocked.capabilities)
}

# METADATA
# description: There is such a value, null and false included. A call with an undefined argument is undefined
# scope: document
is_present(value) if type_name(value) != ""

_exception_members := {"temporary_allow_all", "capabilities", "expires_after", "reason", "owner", "created_at"}

_max_exception_days := 90 if not _has_exception_limits

_max_exception_days := data.exception_limits.max_days if {
	is_number(data.exception_limits.max_days)
	data.exception_limits.max_days >= 1
	data.exception_limits.max_days <= 366
	floor(data.exception_limits.max_days) == data.exception_limits.max_days
}

_has_exception_limits if is_present(data.exception_limits)

_is_complete(entry) if {
	_has_text(entry.owner)
	_has_text(entry.reason)
	every member, _ in entry { member in _exception_members }
}

_has_text(value) if {
	is_string(value)
	value != ""
}

_has_one_scope(entry) if {
	entry.temporary_allow_all == true
	not "capabilities" in object.keys(entry)
}

_has_one_scope(entry) if {
	object.get(entry, "temporary_allow_all", false) == false
	is_array(entry.capabilities)
	count(entry.capabilities) > 0
	every capability in entry.capabilities { is_capability(capability) }
}

# Seconds since 1970 of a timestamp such as 2026-11-24T10:00:00Z, without fraction. OPA's wasm has no builtin for it.
_unix_seconds(text) := (((hours * 60) + minutes) * 60) + seconds if {
	is_string(text)
	endswith(text, "Z")
	[date, clock] := split(trim_suffix(text, "Z"), "T")
	[year, month, day] := _digit_fields(date, "-", [4, 2, 2])
	[hour, minutes, seconds] := _digit_fields(_without_fraction(clock), ":", [2, 2, 2])
	month >= 1
	month <= 12
	day >= 1
	hour <= 23
	minutes <= 59
	seconds <= 59
	unix_day := _unix_day(year, month, day)
	unix_day < _unix_day(year + floor(month / 12), (month % 12) + 1, 1)
	hours := (unix_day * 24) + hour
}

_without_fraction(clock) := clock if not contains(clock, ".")

_without_fraction(clock) := whole if {
	[whole, fraction] := split(clock, ".")
	fraction != ""
	count(fraction) <= 9
	_only(fraction, "0123456789")
}

_digit_fields(text, separator, widths) := [to_number(field) | some field in fields] if {
	fields := split(text, separator)
	[count(field) | some field in fields] == widths
	_only(concat("", fields), "0123456789")
}

# Days since 1970-01-01 in the Gregorian calendar; the year begins in March, so that a leap day is its last.
_unix_day(year, month, day) := result if {
	march_year := year - floor((14 - month) / 12)
	march_month := (month + 9) % 12
	leap_days := (floor(march_year / 4) - floor(march_year / 100)) + floor(march_year / 400)
	result := ((((march_year * 365) + leap_days) + floor(((march_month * 153) + 2) / 5)) + day) - 719469
}

_has_spiffe_id if _is_spiffe_id(input.identity.spiffe_id)

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

_has_origin if is_present(input.context.origin)

_has_wrong_origin if {
	value := input.context.origin
	not _is_spiffe_id(value)
}

_has_wrong_depth if {
	value := input.context.depth
	not _is_depth(value)
}

_is_spiffe_id(value) if {
	is_string(value)
	startswith(value, "spiffe://")
}

_is_depth(value) if {
	is_number(value)
	value >= 0
	floor(value) == value
}

_is_clock(value) if {
	is_string(value)
	value != ""
	count(value) <= 19
	_only(value, "0123456789")
}

# As in is_word; not a regular expression, each of which costs 50 us in wasm.
_only(value, letters) if trim(value, letters) == ""
