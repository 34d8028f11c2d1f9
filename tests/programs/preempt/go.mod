module gtrace.example/preempt

go 1.19
