module natsload

go 1.19
