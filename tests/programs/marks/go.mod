module gtrace.example/marks

go 1.19
