module gtrace.example/gosched

go 1.19
