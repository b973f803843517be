package main

import (
	"fmt"
	"io"
	"testing"

	"github.com/nats-io/jsm.go/api"
	"github.com/nats-io/nats.go"
)

// What a busy server says of a part that it could not write in time is tried again, and what it says of one that is no
// good is not.
func TestARestoreThatStallsIsTriedAgain(t *testing.T) {
	answered := func(why string) error { // to a part, as jsm.go tells it
		return fmt.Errorf("restore failed: %q", `{"type":"io.nats.jetstream.api.v1.stream_create_response","error":{"code":500,"err_code":10062,"description":"restore failed: `+why+`"}}`)
	}
	atTheEnd := api.ApiError{Code: 500, ErrCode: 10062, Description: "restore failed: " + io.ErrClosedPipe.Error()}
	for _, err := range []error{answered(io.ErrClosedPipe.Error()), atTheEnd, fmt.Errorf("request: %w", nats.ErrNoResponders)} {
		if !passes(err, 1) {
			t.Errorf("it is not tried again: %v", err)
		}
	}
	if err := answered("snapshot format not detected within size limit"); passes(err, 1) {
		t.Errorf("it is tried again: %v", err)
	}
}
