module versus

go 1.26
