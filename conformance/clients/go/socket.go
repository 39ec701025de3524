package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const private = "accountOrderUpdate"

type frame struct {
	Op       string          `json:"event"`
	Cmd      string          `json:"cmd"`
	Channel  string          `json:"e"`
	Status   string          `json:"status"`
	Code     int             `json:"code"`
	ID       int             `json:"id"`
	Key      string          `json:"key"`
	Sequence int64           `json:"sequence"`
	Time     int64           `json:"E"`
	Data     json.RawMessage `json:"data"`
	at       time.Time
}

// socket remembers what it was sent.
type socket struct {
	conn   *websocket.Conn
	mutex  sync.Mutex
	frames []frame
	closed error
}

func open(bearer string) (*socket, error) {
	options := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if bearer != "" {
		options.HTTPHeader.Set("Authorization", "Bearer "+bearer)
	}
	conn, _, err := websocket.Dial(context.Background(), os.Getenv("GATEWAY_WEBSOCKET"), options)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn}
	go s.read()
	return s, nil
}

func (s *socket) read() {
	for {
		_, data, err := s.conn.Read(context.Background())
		var one frame
		if err == nil {
			err = json.Unmarshal(data, &one)
		}
		s.mutex.Lock()
		if err != nil {
			s.closed = err
			s.mutex.Unlock()
			return
		}
		one.at = time.Now()
		s.frames = append(s.frames, one)
		s.mutex.Unlock()
	}
}

func (s *socket) send(message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return s.conn.Write(context.Background(), websocket.MessageText, text)
}

func (s *socket) all(matches func(frame) bool) []frame {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var found []frame
	for _, one := range s.frames {
		if matches(one) {
			found = append(found, one)
		}
	}
	return found
}

func (s *socket) events() []frame {
	return s.all(func(one frame) bool { return one.Channel == private })
}

func (s *socket) expiries() []frame {
	return s.all(func(one frame) bool { return one.Cmd == "token_expired" || one.Op == "token_expired" })
}

func (s *socket) logins() []frame {
	return s.all(func(one frame) bool { return one.Cmd == "login" && one.Status == "success" })
}

func (s *socket) login(token string) error {
	before := len(s.logins())
	message := map[string]any{"cmd": "login", "args": map[string]string{"accessToken": token}}
	return all(s.send(message), until("login answer", 5*time.Second, func() bool { return len(s.logins()) > before }))
}

func (s *socket) subscribe() error {
	for _, market := range []string{"inclusionPreconf", "wholeBlock"} {
		arg := map[string]string{"channel": private, "marketType": market}
		if err := s.send(map[string]any{"cmd": "subscribe", "args": arg}); err != nil {
			return err
		}
	}
	return until("answers to subscribe", 5*time.Second, func() bool {
		return len(s.all(func(one frame) bool { return one.Cmd == "subscribe" && one.Status == "success" })) >= 2
	})
}

func (s *socket) inOrder() error {
	last := map[string]int64{}
	for _, one := range s.events() {
		if before, seen := last[one.Key]; seen && one.Sequence != before+1 {
			return expect(false, "%s: %d after %d", one.Key, one.Sequence, before)
		}
		last[one.Key] = one.Sequence
	}
	return nil
}
