module gtrace.example/demo

go 1.19
