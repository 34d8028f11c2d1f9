module gtrace.example/waits

go 1.19
