module gtrace.example/culprit

go 1.19
