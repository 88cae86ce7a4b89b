# METADATA
# title: May this identity offer these capabilities under this worker id?
# description: |
#   Default deny. The identity must have a manifest, the worker id must be the manifest's (or "<id>.<instance>" for a
#   replica), and every capability must be in its provided_capabilities. Exceptions and shadow mode never apply: a
#   worker that is admitted by mistake would read what callers send to it.
package crank.worker_registration

import data.crank.common

# METADATA
# title: The whole answer in one document
# description: The same shape as data.crank.capability_access.decision; exception is always null
# scope: document
# entrypoint: true
decision := {
	"allow": allow,
	"mode": "enforce",
	"grounds": _grounds,
	"reasons": _reasons_given,
	"exception": null,
	"policy_version": common.policy_version,
	"decision_id": common.decision_id,
}

default allow := false

# METADATA
# description: Whether the worker may register
# scope: document
allow if {
	_judgeable
	_worker_id_matches
	_provided
	count(_not_provided) == 0
}

# METADATA
# description: The sentences of the reasons; empty exactly when the registration is allowed
# scope: document
deny contains entry.message if some entry in _reasons

default _grounds := []

_grounds := ["declared"] if allow

default _reasons_given := []

_reasons_given := sort(_reasons) if not allow

_well_formed if {
	common.is_well_formed
	_has_worker_id
	_has_worker_url
	_has_capabilities
}

_has_worker_id if {
	is_string(input.resource.worker_id)
	input.resource.worker_id != ""
}

_has_worker_url if {
	is_string(input.resource.worker_url)
	input.resource.worker_url != ""
}

_has_capabilities if {
	is_array(input.resource.capabilities)
	every capability in input.resource.capabilities { common.is_capability(capability) }
}

_faults contains fault if some fault in common.input_faults

_faults contains "resource.worker_id must be a string" if not _has_worker_id

_faults contains "resource.worker_url must be a string" if not _has_worker_url

_faults contains "resource.capabilities must be an array of verb:name" if not _has_capabilities

_blocked_capabilities contains capability if {
	some capability in input.resource.capabilities
	common.capability_blocked(capability)
}

# The manifest is used only for well-formed input.
_judgeable if {
	_well_formed
	count(common.data_faults) == 0
	not common.identity_blocked
	count(_blocked_capabilities) == 0
}

_worker_id_matches if input.resource.worker_id == common.manifest.worker_id

_worker_id_matches if {
	is_string(common.manifest.worker_id)
	prefix := concat("", [common.manifest.worker_id, "."])
	startswith(input.resource.worker_id, prefix)
	regex.match(`^[A-Za-z0-9-]{1,64}$`, trim_prefix(input.resource.worker_id, prefix))
}

_provided := common.manifest.provided_capabilities if is_array(common.manifest.provided_capabilities)

_not_provided contains capability if {
	some capability in input.resource.capabilities
	not capability in _provided
}

_reasons contains common.reason("input_malformed", ["Registration not authorized: ", fault]) if some fault in _faults

_reasons contains common.reason("policy_data_malformed", ["Registration not authorized: ", fault]) if {
	some fault in common.data_faults
}

_reasons contains _refusal("identity_blocked", "register: the identity is blocked") if {
	_well_formed
	common.identity_blocked
}

_reasons contains _refusal("capability_blocked", concat(" ", ["provide blocked", _named(_blocked_capabilities)])) if {
	_well_formed
	count(_blocked_capabilities) > 0
}

_reasons contains _refusal("worker_unknown", concat("", ["register: ", common.no_manifest(_provides_option)])) if {
	_judgeable
	not common.manifest
}

_reasons contains _refusal("worker_id_mismatch", "register under this worker_id: it is not the manifest's") if {
	_judgeable
	common.manifest
	not _worker_id_matches
}

_reasons contains _refusal("provided_capabilities_missing", "register: its manifest has no provided_capabilities") if {
	_judgeable
	common.manifest
	not _provided
}

_reasons contains _refusal("capability_not_provided", concat(" ", ["provide", _named(_not_provided)])) if {
	_judgeable
	_provided
	count(_not_provided) > 0
}

_refusal(code, what) := common.reason(code, ["Worker ", common.spiffe_id, " not authorized to ", what])

default _provides_option := "--provides verb:name"

_provides_option := concat(" ", ["--provides", concat(" --provides ", sort(input.resource.capabilities))]) if {
	count(input.resource.capabilities) in numbers.range(1, 10)
}

# At most ten by name: the answer stays small however long the list of the request is.
_named(capabilities) := concat(", ", sort(capabilities)) if count(capabilities) <= 10

_named(capabilities) := text if {
	count(capabilities) > 10
	first := concat(", ", array.slice(sort(capabilities), 0, 10))
	text := concat("", [first, " and ", format_int(count(capabilities) - 10, 10), " more"])
}
