module gtrace.example/gcstory

go 1.19
