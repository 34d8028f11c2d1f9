module stalls

go 1.19
