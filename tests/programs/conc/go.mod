module conc

go 1.19
