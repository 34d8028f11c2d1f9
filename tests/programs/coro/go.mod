module gtrace.example/coro

go 1.23
