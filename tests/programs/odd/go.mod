module gtrace.example/odd

go 1.19
