module gtrace.example/calls

go 1.19
