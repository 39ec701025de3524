package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/sha3"
)

func keccak(parts ...[]byte) []byte {
	hash := sha3.NewLegacyKeccak256()
	for _, part := range parts {
		hash.Write(part)
	}
	return hash.Sum(nil)
}

func word(number int64) []byte { return new(big.Int).SetInt64(number).FillBytes(make([]byte, 32)) }

type typedData struct {
	Domain struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		ChainID int64  `json:"chainId"`
	} `json:"domain"`
	Message struct {
		Hash    string `json:"hash"`
		Message string `json:"message"`
		Domain  string `json:"domain"`
	} `json:"message"`
}

// signTyped signs the login message (EIP-712). The struct is written into the program, as connectors of the
// venue do; the signature is hex without 0x, v is 27 or 28.
func signTyped(text string, key *secp256k1.PrivateKey) (string, error) {
	var typed typedData
	if err := json.Unmarshal([]byte(text), &typed); err != nil {
		return "", err
	}
	if typed.Domain.Name != "ETHGas Login" {
		return "", errors.New("asked to sign for " + typed.Domain.Name)
	}
	domain := keccak(
		keccak([]byte("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")),
		keccak([]byte(typed.Domain.Name)), keccak([]byte(typed.Domain.Version)), word(typed.Domain.ChainID), word(0),
	)
	message := keccak(
		keccak([]byte("data(string hash,string message,string domain)")),
		keccak([]byte(typed.Message.Hash)), keccak([]byte(typed.Message.Message)), keccak([]byte(typed.Message.Domain)),
	)
	digest := keccak([]byte{0x19, 0x01}, domain, message)
	compact := ecdsa.SignCompact(key, digest, false)
	return hex.EncodeToString(append(compact[1:], compact[0])), nil
}
