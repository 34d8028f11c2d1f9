module standing

go 1.19
