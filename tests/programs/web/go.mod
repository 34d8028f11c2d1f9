module gtrace.example/web

go 1.19
