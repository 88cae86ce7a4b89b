# METADATA
# title: Several decisions in one question
# description: |
#   For a sidecar with many calls at once: what is waiting is asked together, which saves OPA a request and its
#   authorisation per decision. Each decision is exactly what its own question would get.
package crank.batch

import data.crank.capability_access

# METADATA
# title: The decisions on input.items, in their order
# description: |
#   Each item is the input of a data.crank.capability_access.decision. A decision that is undefined is null, so that
#   the others keep their places. Undefined for more than 32 items: one question cannot hold up OPA.
# scope: document
# entrypoint: true
decisions := [array.concat(given, [null])[0] |
	some item in input.items

	# regal ignore:with-outside-test-context
	given := [decision | decision := capability_access.decision with input as item]
] if {
	is_array(input.items)
	count(input.items) <= max_items
}

# METADATA
# description: The controller sends no more
# scope: document
max_items := 32
