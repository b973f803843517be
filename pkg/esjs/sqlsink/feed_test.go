package sqlsink_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
	"github.com/b144f99b/orderflow/pkg/esjs/sqlsink"
	"github.com/go-json-experiment/json"
)

// Picture is a large event; each one that is decoded is told.
type Picture struct{ Data string }

func (Picture) EventType() string { return "Picture" }

var decodedPictures = make(chan struct{}, 1000)

func (p *Picture) UnmarshalJSON(data []byte) error {
	type plain Picture
	defer func() { decodedPictures <- struct{}{} }()
	return json.Unmarshal(data, (*plain)(p))
}

// telling tells how many commits were applied in transactions that are over.
type telling struct {
	*sqlsink.Sink
	applied, committed *int
}

func (s telling) Commit(ctx context.Context, name string, step step) error {
	err := s.Sink.Commit(ctx, name, step)
	*s.committed = *s.applied
	return err
}

// However many commits a batch may have, those in memory are bounded by bytes.
func TestLargeCommitsAreNotReadAheadWithoutEnd(t *testing.T) {
	const (
		size    = 900 << 10
		commits = 100
		most    = 32<<20/size + 1 // and the one that waits for room
	)
	store := esjstest.Server(t).Store(t)
	var last esjs.Position
	for n := range commits {
		last = appended(t, store, fmt.Sprintf("a/%d", n), Picture{strings.Repeat("x", size)})
	}
	codec, err := esjs.NewCodec(esjs.TypeOf[Picture, Picture]())
	if err != nil {
		t.Fatal(err)
	}
	for len(decodedPictures) > 0 {
		<-decodedPictures
	}
	var applied, committed, decoded, ahead int // all in the goroutine that applies
	sink := telling{sqlsink.New(openTemp(t)), &applied, &committed}
	projector := esjs.NewProjector(store, sink, esjs.Projection[*sql.Tx, Picture]{
		Name: "pictures", Version: 1, Codec: codec,
		Apply: func(context.Context, *sql.Tx, esjs.Recorded[Picture]) error {
			applied++
			for reading := applied == 1; reading; {
				// The first one waits until the reader has read much and does not go on.
				quiet := time.Minute
				if decoded >= most/2 {
					quiet = time.Second
				}
				select {
				case <-decodedPictures:
					decoded++
				case <-time.After(quiet):
					reading = false
				}
			}
			for len(decodedPictures) > 0 {
				<-decodedPictures
				decoded++
			}
			ahead = max(ahead, decoded-committed)
			return nil
		},
	}, esjs.ProjectionConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(ctx) }()
	if err := projector.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if ahead > most || ahead < most/2 {
		t.Errorf("%d commits of 900 KiB were decoded and not applied, want many and at most %d", ahead, most)
	}
}
