module gtrace.example/ender

go 1.19
