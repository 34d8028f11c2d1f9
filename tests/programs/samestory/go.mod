module gtrace.example/samestory

go 1.19
