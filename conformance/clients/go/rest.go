package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// client keeps no cookie jar and reads its refresh token from the cookie, like connectors of the venue.
type client struct {
	http         http.Client
	key          *secp256k1.PrivateKey
	userID       int64
	access       string
	refreshToken string
	expires      time.Time
}

type answer struct {
	Success bool `json:"success"`
	Data    struct {
		NonceHash     string `json:"nonceHash"`
		EIP712Message string `json:"eip712Message"`
		User          struct {
			UserID int64 `json:"userId"`
		} `json:"user"`
		AccessToken struct {
			Token string `json:"token"`
			Data  struct {
				Payload struct {
					Exp int64 `json:"exp"`
				} `json:"payload"`
			} `json:"data"`
		} `json:"accessToken"`
	} `json:"data"`
}

func (c *client) call(method, path string, form url.Values, bearer string) (int, answer, *http.Response, error) {
	var parsed answer
	request, err := http.NewRequest(method, os.Getenv("GATEWAY_REST")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, parsed, nil, err
	}
	request.Header.Set("User-Agent", "Relay/1.0")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, parsed, nil, err
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&parsed)
	return response.StatusCode, parsed, response, err
}

func (c *client) take(status int, parsed answer, err error) error {
	if err != nil || status != http.StatusOK || !parsed.Success {
		return fmt.Errorf("answered %d, %v", status, err)
	}
	c.access = parsed.Data.AccessToken.Token
	c.expires = time.Unix(parsed.Data.AccessToken.Data.Payload.Exp, 0)
	return nil
}

func (c *client) login() error {
	address := os.Getenv("WALLET_ADDRESS")
	form := url.Values{"addr": {address}, "chainId": {os.Getenv("CHAIN_ID")}}
	status, asked, _, err := c.call("POST", "/v1/user/login", form, "")
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("login answered %d, %v", status, err)
	}
	signature, err := signTyped(asked.Data.EIP712Message, c.key)
	if err != nil {
		return err
	}
	form = url.Values{"addr": {address}, "signature": {signature}, "nonceHash": {asked.Data.NonceHash}}
	status, verified, response, err := c.call("POST", "/v1/user/login/verify", form, "")
	if err := c.take(status, verified, err); err != nil {
		return fmt.Errorf("verify %w", err)
	}
	c.userID = verified.Data.User.UserID
	for _, cookie := range response.Cookies() {
		if cookie.Name == "x_auth_refresh_token" {
			c.refreshToken = cookie.Value
			return nil
		}
	}
	return fmt.Errorf("no cookie x_auth_refresh_token")
}

func (c *client) refresh() error {
	before := c.access
	status, parsed, _, err := c.call("POST", "/v1/user/login/refresh", url.Values{"refreshToken": {c.refreshToken}}, "")
	if err := c.take(status, parsed, err); err != nil {
		return fmt.Errorf("refresh %w", err)
	}
	return all(expect(c.access != before, "the same access token again"), c.privateCall(http.StatusOK))
}

func (c *client) privateCall(expected int) error {
	status, _, _, err := c.call("GET", "/v1/user/accounts", nil, c.access)
	return all(err, expect(status == expected, "a private call answered %d", status))
}
