module gtrace.example/kernel

go 1.19
