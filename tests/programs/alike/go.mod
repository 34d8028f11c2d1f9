module gtrace.example/alike

go 1.19
