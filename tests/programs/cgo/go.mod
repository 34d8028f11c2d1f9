module gtrace.example/cgo

go 1.19
