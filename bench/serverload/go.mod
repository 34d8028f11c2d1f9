module serverload

go 1.19
