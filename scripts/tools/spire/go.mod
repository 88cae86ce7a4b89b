// go.sum is SPIRE's own and its own two lines. No list of indirect modules: the build (-mod=mod) finds them, and go.sum names
// every byte. Only `npm run test:stack` builds it.
module crank.local/tools/spire

go 1.26.0

require github.com/spiffe/spire v1.13.3
