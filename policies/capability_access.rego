# METADATA
# title: May this identity use this capability?
# description: |
#   Default deny. A call is allowed when the caller's manifest declares the capability (required_capabilities), or a
#   live exception covers it. A block overrides both. Query `decision`; `allow` and `deny` can also be queried alone.
package crank.capability_access

import data.crank.common

# METADATA
# title: The whole answer in one document
# description: |
#   exception is null, or the name of the exception that was applied or that failed: "<spiffe id>#*" if it covers
#   everything, else "<spiffe id>#<verb:name>". valid_until_ns is there only if the same question has the same answer
#   until then (Unix nanoseconds as a string), as long as Rego and data stay the same: a controller may then repeat it.
# scope: document
# entrypoint: true
decision := {
	"allow": true,
	"mode": "enforce",
	"grounds": ["declared"],
	"reasons": [],
	"exception": null,
	"policy_version": common.policy_version,
	"decision_id": common.decision_id,
	"valid_until_ns": common.no_end_ns,
} if {
	is_plain
} else := whole_decision

# METADATA
# title: The same, always by every rule
# description: |
#   decision takes a shorter way for most calls; both ways always give the same answer. To compare them, query this.
# scope: document
whole_decision := object.union(_answer, _validity)

_answer := {
	"allow": allow,
	"mode": mode,
	"grounds": _grounds_given,
	"reasons": _reasons_given,
	"exception": exception,
	"policy_version": common.policy_version,
	"decision_id": common.decision_id,
}

default _validity := {}

_validity := {"valid_until_ns": _valid_until_ns} if not is_timed

# METADATA
# description: |
#   The answer may change with the clock alone in a way that valid_until_ns does not tell. A rule that reads the clock
#   must be added here, or controllers with CRANK_DECISION_CACHE=on repeat an answer for too long.
# scope: document
is_timed if not _valid_until_ns

# Nothing but the manifest decides, or the lack of one.
_valid_until_ns := common.no_end_ns if {
	_judgeable
	not _exception_scope
}

# An exception that is live ends once. One that has ended, or is invalid, may be judged in another way later. OPA's wasm
# cannot format_int 19 digits; a number with an exponent stays as it is written, and then nothing is said.
_valid_until_ns := digits if {
	_judgeable
	_exception_state == "live"
	digits := json.marshal(_exception_entry.expires_after)
	trim(digits, "0123456789") == ""
}

# METADATA
# description: |
#   The usual call: declared, and no block, no exception and no enforcement entry concerns it. Each condition is a
#   lookup of this caller or this capability, so an evaluation does not grow with the data. Others go the whole way.
# scope: document
is_plain if {
	manifest := data.workers[input.identity.spiffe_id]
	is_array(manifest.required_capabilities)
	_capability in manifest.required_capabilities
	common.is_complete
	common.is_word(input.action.verb)
	common.is_word(input.action.capability)
	common.has_block_lists
	not common.identity_blocked
	not _capability_blocked
	not _has_exception
	not _has_mode
}

default allow := false

# METADATA
# description: Whether the call may go through
# scope: document
allow if {
	_judgeable
	count(_grounds) > 0
}

# METADATA
# description: The sentences of the reasons; empty exactly when the call is allowed
# scope: document
deny contains entry.message if some entry in _reasons

default mode := "enforce"

# METADATA
# description: |
#   shadow only if data.enforcement says so. An entry for the caller or the capability takes precedence over the
#   default; if they differ, enforce wins. The most specific caller entry wins: the caller itself, then the longest
#   prefix of whole path segments that ends in a slash. Blocks, malformed input and invalid data are always enforced.
# scope: document
mode := "shadow" if {
	_mode_entries == {"shadow"}
	_enforcement_understood
	_judgeable
}

mode := "shadow" if {
	data.enforcement.default == "shadow"
	_mode_entries == set()
	_enforcement_understood
	_judgeable
}

default exception := null

# METADATA
# description: Name of the exception that was applied, or that would apply if it were live
# scope: document
exception := _exception_name if {
	_judgeable
	not _declared
	_exception_state
}

_capability := concat(":", [input.action.verb, input.action.capability])

_well_formed if {
	common.is_well_formed
	_has_verb
	_has_capability
}

_has_verb if common.is_word(input.action.verb)

_has_capability if common.is_word(input.action.capability)

_faults contains fault if some fault in common.input_faults

_faults contains "action.verb must be a lower-case word" if not _has_verb

_faults contains "action.capability must be a lower-case word" if not _has_capability

_blocked if common.identity_blocked

_blocked if _capability_blocked

_capability_blocked if common.capability_blocked(_capability)

# Manifests and exceptions are used only for well-formed input.
_judgeable if {
	_well_formed
	count(common.data_faults) == 0
	not _blocked
}

_declared if {
	is_array(common.manifest.required_capabilities)
	_capability in common.manifest.required_capabilities
}

_grounds contains "declared" if _declared

_grounds contains "exception" if _exception_state == "live"

default _grounds_given := []

_grounds_given := sort(_grounds) if allow

default _reasons_given := []

_reasons_given := sort(_reasons) if not allow

# Checks the shape only; entries are checked when they apply. The controller refuses a file with faults.
_enforcement_understood if {
	object.keys(data.enforcement) - {"default", "callers", "capabilities"} == set()
	object.get(data.enforcement, "default", "enforce") in {"enforce", "shadow"}
	is_object(object.get(data.enforcement, "callers", {}))
	is_object(object.get(data.enforcement, "capabilities", {}))
}

_mode_entries contains _caller_mode

_mode_entries contains data.enforcement.capabilities[_capability]

_caller_mode := [found | some key in _caller_keys; found := data.enforcement.callers[key]][0]

# Whether anything but the default mode may apply to this call.
_has_mode if data.enforcement.default == "shadow"

_has_mode if common.is_present(_caller_mode)

_has_mode if common.is_present(data.enforcement.capabilities[_capability])

# The identity, then its path shortened by whole segments, down to the trust domain.
_caller_keys := array.concat([common.spiffe_id], _caller_prefixes) if count(data.enforcement.callers) > 0

_caller_prefixes := [concat("", [concat("/", array.slice(segments, 0, length)), "/"]) |
	segments := split(common.spiffe_id, "/")
	count(segments) > 3
	some length in numbers.range(count(segments) - 1, 3)
]

_exception_entry := data.exceptions[common.spiffe_id]

_has_exception if common.is_present(data.exceptions[common.spiffe_id])

_exception_name := concat("", [common.spiffe_id, "#", _exception_scope])

_exception_scope := "*" if _exception_entry.temporary_allow_all == true

_exception_scope := _capability if {
	not _exception_entry.temporary_allow_all == true
	is_array(_exception_entry.capabilities)
	_capability in _exception_entry.capabilities
}

# Undefined when there is no exception for this call, or no clock to measure it by.
_exception_state := common.exception_state(_exception_entry, common.now_ns) if _exception_scope

_reasons contains common.reason("input_malformed", ["Request not authorized: ", fault]) if some fault in _faults

_reasons contains common.reason("policy_data_malformed", ["Request not authorized: ", fault]) if {
	some fault in common.data_faults
}

_reasons contains _refusal("identity_blocked", ": the identity is blocked") if {
	_well_formed
	common.identity_blocked
}

_reasons contains _refusal("capability_blocked", ": the capability is blocked") if {
	_well_formed
	_capability_blocked
}

_reasons contains _refusal("capability_not_declared", "") if {
	_groundless
	common.manifest
}

_reasons contains _refusal("worker_unknown", detail) if {
	_groundless
	not common.manifest
	detail := concat("", [": ", common.no_manifest(concat(" ", ["--requires", _capability]))])
}

_reasons contains _refusal("exception_expired", ": its exception has expired") if {
	_groundless
	_exception_state == "expired"
}

_reasons contains _refusal("exception_invalid", ": its exception is malformed or lasts too long") if {
	_groundless
	_exception_state == "invalid"
}

_groundless if {
	_judgeable
	count(_grounds) == 0
}

_refusal(code, detail) := common.reason(code, [
	"Worker ",
	common.spiffe_id,
	" not authorized for capability ",
	_capability,
	detail,
])
