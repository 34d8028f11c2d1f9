module gtrace.example/midway

go 1.19
