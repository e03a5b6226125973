module teams

go 1.24
