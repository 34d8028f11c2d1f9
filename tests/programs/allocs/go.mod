module gtrace.example/allocs

go 1.19
