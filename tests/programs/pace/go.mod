module pace

go 1.19
