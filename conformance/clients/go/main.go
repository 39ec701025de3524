// A bot in Go: net/http without a cookie jar, secp256k1 and Keccak of its own choice, coder/websocket.
package main

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

const eventPatience = 9 * time.Second

func main() {
	key, _ := hex.DecodeString(strings.TrimPrefix(os.Getenv("WALLET_KEY"), "0x"))
	bot := &client{http: http.Client{Timeout: 5 * time.Second}, key: secp256k1.PrivKeyFromBytes(key)}
	var live *socket

	step("login", bot.login)
	step("private_call", func() error { return bot.privateCall(http.StatusOK) })
	for _, name := range []string{"refresh_1", "refresh_2", "refresh_3"} {
		step(name, bot.refresh)
	}
	step("ws_login_op", func() error {
		one, err := open("")
		if err != nil {
			return err
		}
		defer one.conn.Close(websocket.StatusNormalClosure, "")
		args := []any{map[string]string{"accessToken": bot.access}}
		return all(
			one.send(map[string]any{"op": "login", "args": args, "id": 7}),
			until("login answer", 5*time.Second, func() bool {
				return len(one.all(func(f frame) bool { return f.Op == "login" && f.Code == 0 && f.ID == 7 })) == 1
			}),
		)
	})
	step("ws_login_bearer", func() error {
		one, err := open(bot.access)
		if err != nil {
			return err
		}
		defer one.conn.Close(websocket.StatusNormalClosure, "")
		return one.subscribe()
	})
	step("ws_login_cmd_args", func() (err error) {
		if live, err = open(""); err != nil {
			return err
		}
		return live.login(bot.access)
	})
	step("private_event", func() error {
		if err := live.subscribe(); err != nil {
			return err
		}
		return until("private event", eventPatience, func() bool { return len(live.events()) > 0 })
	})
	step("token_expired", func() error {
		patience := time.Until(bot.expires) + 3*time.Second
		return until("token_expired", patience, func() bool { return len(live.expiries()) == 1 })
	})
	step("relogin_in_place", func() error {
		if err := all(bot.refresh(), live.login(bot.access)); err != nil {
			return err
		}
		count := len(live.events())
		err := until("private event", eventPatience, func() bool { return len(live.events()) > count })
		return all(err, live.inOrder())
	})
	step("logout_ends_private", func() error {
		status, _, _, err := bot.call("POST", "/v1/user/logout", url.Values{}, bot.access)
		ended := time.Now().Add(250 * time.Millisecond)
		if err := all(err, expect(status == http.StatusOK, "logout answered %d", status)); err != nil {
			return err
		}
		time.Sleep(2500 * time.Millisecond)
		late := live.all(func(f frame) bool { return f.Channel == private && f.at.After(ended) })
		status, _, _, _ = bot.call("POST", "/v1/user/login/refresh", url.Values{"refreshToken": {bot.refreshToken}}, "")
		return all(
			expect(len(late) == 0, "%d private events after logout", len(late)),
			expect(status == http.StatusForbidden, "refresh after logout: %d", status),
			bot.privateCall(http.StatusUnauthorized),
		)
	})
}
