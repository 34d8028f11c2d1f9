module gtrace.example/syscalls

go 1.19
