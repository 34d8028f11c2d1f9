module fds

go 1.19
