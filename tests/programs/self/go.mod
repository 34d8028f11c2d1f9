module gtrace.example/self

go 1.19
