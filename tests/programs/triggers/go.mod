module triggers

go 1.19
