module jwt-generator

go 1.23.0

require (
	github.com/sirupsen/logrus v1.9.3
	gopkg.in/go-jose/go-jose.v2 v2.6.3
)

require (
	github.com/google/go-cmp v0.6.0 // indirect
	golang.org/x/crypto v0.36.0 // indirect
	golang.org/x/sys v0.31.0 // indirect
)
