//go:build go1.25

package main

import (
	"os"
	"runtime/trace"
)

func flight(path string) {
	fr := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	must(fr.Start())
	everything(1)
	f, err := os.Create(path)
	must(err)
	_, err = fr.WriteTo(f)
	must(err)
	must(f.Close())
	fr.Stop()
}
