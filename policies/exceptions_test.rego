# METADATA
# description: The state of an exception; the tests of the decision are in capability_access_test.rego
package crank.exceptions_test

import data.crank.common

created := "2026-11-24T10:00:00Z"

now := 1795514400000000000

day := 86400000000000

base := {"expires_after": now + 1, "reason": "r", "owner": "o", "created_at": created}

for_all := object.union(base, {"temporary_allow_all": true})

for_one := object.union(base, {"capabilities": ["a:b"]})

patched(entry, member, value) := object.union(json.remove(entry, [member]), {member: value})

state(entry) := common.exception_state(entry, now)

test_sound_entries_are_live[note] if {
	some note, entry in {
		"all": for_all,
		"one": for_one,
		"several": patched(for_one, "capabilities", ["a:b", "c:d"]),
		"said not to be for all": patched(for_one, "temporary_allow_all", false),
		"created with a fraction": patched(for_all, "created_at", "2026-11-24T10:00:00.123456789Z"),
		"expiry with an exponent": patched(for_all, "expires_after", 1.7955144000000001e18),
	}
	state(entry) == "live"
}

test_an_exception_ends_to_the_nanosecond if {
	until := now + 1
	common.exception_state(for_one, until - 1) == "live"
	common.exception_state(for_one, until) == "expired"
	common.exception_state(for_one, until + 1) == "expired"
}

test_an_expiry_that_is_no_time_is_never_live[note] if {
	some note, row in {
		"text": ["2999-01-01T00:00:00Z", "invalid"],
		"digits": ["1795514400000000001", "invalid"],
		"empty": ["", "invalid"],
		"list": [[now + 1], "invalid"],
		"object": [{"ns": now + 1}, "invalid"],
		"null": [null, "invalid"],
		"true": [true, "invalid"],
		"false": [false, "invalid"],
		"1e400": [1e400, "invalid"],
		"half a nanosecond": [1795514400000000001.5, "invalid"],
		"twenty digits": [17955144000000000010, "invalid"],
		"zero": [0, "expired"],
		"negative": [-1795514400000000001, "expired"],
		"-1e400": [-1e400, "expired"],
	}
	state(patched(for_all, "expires_after", row[0])) == row[1]
}

test_an_entry_with_a_member_missing_is_invalid[member] if {
	some member in ["expires_after", "reason", "owner", "created_at", "capabilities"]
	state(json.remove(for_one, [member])) == "invalid"
}

test_an_entry_of_the_wrong_shape_is_invalid[note] if {
	some note, entry in {
		"unknown member": patched(for_all, "expire_after", now),
		"unknown member false": patched(for_all, "x", false),
		"for all and for some": patched(for_all, "capabilities", ["a:b"]),
		"for all and for null": patched(for_all, "capabilities", null),
		"all a text": patched(for_one, "temporary_allow_all", "true"),
		"all a number": patched(for_one, "temporary_allow_all", 1),
		"all null": patched(for_one, "temporary_allow_all", null),
		"all false": patched(base, "temporary_allow_all", false),
		"no capability": patched(base, "capabilities", []),
		"capabilities a text": patched(base, "capabilities", "a:b"),
		"capabilities an object": patched(base, "capabilities", {"x": "a:b"}),
		"one capability a pattern": patched(base, "capabilities", ["a:b", "a:*"]),
		"one capability a number": patched(base, "capabilities", ["a:b", 1]),
		"owner empty": patched(for_all, "owner", ""),
		"owner a number": patched(for_all, "owner", 1),
		"reason empty": patched(for_all, "reason", ""),
		"reason a list": patched(for_all, "reason", ["r"]),
		"no object": "all", "a list": [for_all], "null": null, "a number": 1,
	}
	state(entry) == "invalid"
}

test_a_creation_that_is_no_time_is_invalid[text] if {
	some text in [
		"", "2026-11-24", "2026-11-24T10:00:00", "2026-11-24T10:00:00+00:00", "2026-11-24t10:00:00z",
		"2026-11-24 10:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T10:60:00Z", "2026-11-24T10:00:60Z",
		"2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z", "2026-11-31T00:00:00Z", "2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z", "2026-11-00T00:00:00Z", "2026-1-24T10:00:00Z", "+2026-11-24T10:00:00Z",
		"2026-11-24T10:00:00.Z", "2026-11-24T10:00:00Z\n", " 2026-11-24T10:00:00Z", "Nov 24 2026", now, null, [], {},
		true,
	]
	state(patched(for_all, "created_at", text)) == "invalid"
}

# The policy computes the calendar itself, since OPA's wasm has none; this compares it with OPA's calendar.
test_a_lifetime_is_measured_from_the_creation[text] if {
	some text in [
		"1970-01-01T00:00:00Z", "1972-02-29T23:59:59Z", "1999-12-31T23:59:59Z", "2000-02-28T01:02:03Z",
		"2000-02-29T00:00:00Z", "2000-03-01T00:00:00Z", "2024-02-29T12:00:00Z", "2026-01-31T08:09:09Z",
		"2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z", "2100-02-28T23:59:59Z", "2100-03-01T00:00:00Z",
	]
	created_ns := time.parse_rfc3339_ns(text)
	last := created_ns + common.max_exception_lifetime_ns
	entry := patched(for_all, "created_at", text)
	common.exception_state(patched(entry, "expires_after", last), last - 1) == "live"
	common.exception_state(patched(entry, "expires_after", last + 1), last) == "invalid"
}

test_days_of_three_centuries_are_opas_own if {
	days := numbers.range_step(0, 106000, 1511)
	every number in days {
		start := number * day
		text := time.format([start, "UTC", "2006-01-02T15:04:05Z"])
		last := start + common.max_exception_lifetime_ns
		entry := patched(patched(for_all, "created_at", text), "expires_after", last)
		common.exception_state(entry, last - 1) == "live"
		common.exception_state(patched(entry, "expires_after", last + 1), last) == "invalid"
	}
}

test_an_expiry_may_lie_as_far_ahead_as_the_longest_lifetime if {
	longest := now + common.max_exception_lifetime_ns
	tomorrow := patched(for_all, "created_at", "2026-11-25T10:00:00Z")
	state(patched(tomorrow, "expires_after", longest)) == "live"
	state(patched(tomorrow, "expires_after", longest + 1)) == "invalid"
}

test_an_exception_is_not_prolonged_beyond_the_longest_lifetime if {
	state(patched(for_all, "created_at", "2026-08-26T10:00:01Z")) == "live"
	state(patched(for_all, "created_at", "2026-08-26T10:00:00Z")) == "invalid"
	state(patched(for_all, "created_at", "2025-11-16T00:00:00Z")) == "invalid"
}

test_the_longest_lifetime_is_ninety_days if common.max_exception_lifetime_ns == 90 * day

test_the_longest_lifetime_may_be_set[days] if {
	some days in [1, 7, 90, 366]
	common.max_exception_lifetime_ns == days * day with data.exception_limits as {"max_days": days}
}

test_no_exception_counts_under_a_limit_that_is_none[note] if {
	some note, limits in {
		"zero": {"max_days": 0}, "negative": {"max_days": -1}, "too long": {"max_days": 367}, "half": {"max_days": 1.5},
		"text": {"max_days": "7"}, "null": {"max_days": null}, "missing": {}, "other name": {"days": 7}, "a number": 7,
		"false": false, "nothing": null,
	}
	state(for_all) == "invalid" with data.exception_limits as limits
}
