module gtrace.example/quiet

go 1.19
