module countersign-conformance

go 1.23.0

require (
	github.com/coder/websocket v1.8.13
	github.com/decred/dcrd/dcrec/secp256k1/v4 v4.4.0
	golang.org/x/crypto v0.36.0
)

require golang.org/x/sys v0.31.0 // indirect
