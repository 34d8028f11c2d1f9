module gtrace.example/exits

go 1.19
