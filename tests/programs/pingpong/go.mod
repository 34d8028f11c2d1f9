module gtrace.example/pingpong

go 1.19
