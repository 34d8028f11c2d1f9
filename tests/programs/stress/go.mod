module gtrace.example/stress

go 1.19
