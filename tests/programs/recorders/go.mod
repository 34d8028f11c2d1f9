module gtrace.example/recorders

go 1.25
