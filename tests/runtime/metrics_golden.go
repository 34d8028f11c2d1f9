// Prints Go's metrics for metrics_go.txt: each name, kind and whether it is cumulative; then the boundaries of a histogram of times.
//
//	GOTOOLCHAIN=go1.26.8 go run metrics_golden.go >metrics_go.txt
package main

import (
	"fmt"
	"runtime/metrics"
	"strings"
)

func main() {
	kinds := map[metrics.ValueKind]string{
		metrics.KindUint64: "uint64", metrics.KindFloat64: "float64", metrics.KindFloat64Histogram: "histogram",
	}
	for _, d := range metrics.All() {
		if !strings.HasPrefix(d.Name, "/godebug/") {
			fmt.Println(d.Name, kinds[d.Kind], d.Cumulative)
		}
	}
	samples := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(samples)
	for _, b := range samples[0].Value.Float64Histogram().Buckets {
		fmt.Printf("bucket %x\n", b)
	}
}
