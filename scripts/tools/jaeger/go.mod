// Jaeger v1.76.0 and Jaeger 2.13.0 are one tag; 2.14 and later are not to be had as a module. go.sum is Jaeger's own and its
// own two lines. No list of indirect modules: the build (-mod=mod) finds them, and go.sum names every byte.
module crank.local/tools/jaeger

go 1.26.0

require github.com/jaegertracing/jaeger v1.76.0

// As in Jaeger's own go.mod: replaces do not come along with a requirement.
replace github.com/Shopify/sarama => github.com/Shopify/sarama v1.33.0
