module golayout

go 1.19
