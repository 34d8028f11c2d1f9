module gtrace.example/cpuprof

go 1.19
