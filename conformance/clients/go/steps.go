package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// step runs one step and prints what came of it as a JSON line.
func step(name string, work func() error) {
	detail := ""
	err := work()
	if err != nil {
		detail = err.Error()
	}
	line, _ := json.Marshal(map[string]any{"step": name, "ok": err == nil, "detail": detail})
	fmt.Fprintln(os.Stdout, string(line))
}

func expect(condition bool, format string, values ...any) error {
	if condition {
		return nil
	}
	return fmt.Errorf(format, values...)
}

// until polls until look says yes.
func until(what string, patience time.Duration, look func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if look() {
			return nil
		}
	}
	return fmt.Errorf("no %s within %v", what, patience)
}

func all(errs ...error) error { return errors.Join(errs...) }
