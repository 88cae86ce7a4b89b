// The module version of Prometheus 3.16.0; builds prometheus and promtool. go.sum is Prometheus's own and its own two lines.
module crank.local/tools/prometheus

go 1.26.7

require github.com/prometheus/prometheus v0.316.0
