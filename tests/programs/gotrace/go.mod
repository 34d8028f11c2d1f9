module gtrace.example/gotrace

go 1.19
