module gtrace.example/counts

go 1.19
