package esjs_test

import (
	"context"
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// jetStream is the NATS client beside the library, by which a test looks at streams
// and changes them. A cluster that elects a leader does not answer, so what the tests
// ask of it is asked again; see [esjs.Answered].
func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return patientJetStream{js}
}

// done is esjs.Answered for what has no result. What is not there when it is asked
// for again was deleted by a request whose answer was lost.
func done(ctx context.Context, request func(context.Context) error, notThere ...error) error {
	asked := 0
	_, err := esjs.Answered(ctx, func(ctx context.Context) (struct{}, error) {
		asked++
		err := request(ctx)
		for _, gone := range notThere {
			if asked > 1 && errors.Is(err, gone) {
				return struct{}{}, nil
			}
		}
		return struct{}{}, err
	})
	return err
}

type patientJetStream struct{ jetstream.JetStream }

func (p patientJetStream) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := esjs.Answered(ctx, func(ctx context.Context) (jetstream.Stream, error) { return p.JetStream.Stream(ctx, name) })
	return patientStream{stream}, err
}

func (p patientJetStream) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := esjs.Answered(ctx, func(ctx context.Context) (jetstream.Stream, error) { return p.JetStream.CreateStream(ctx, cfg) })
	return patientStream{stream}, err
}

func (p patientJetStream) UpdateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := esjs.Answered(ctx, func(ctx context.Context) (jetstream.Stream, error) { return p.JetStream.UpdateStream(ctx, cfg) })
	return patientStream{stream}, err
}

func (p patientJetStream) DeleteStream(ctx context.Context, name string) error {
	return done(ctx, func(ctx context.Context) error { return p.JetStream.DeleteStream(ctx, name) }, jetstream.ErrStreamNotFound)
}

func (p patientJetStream) DeleteConsumer(ctx context.Context, stream, name string) error {
	return done(ctx, func(ctx context.Context) error { return p.JetStream.DeleteConsumer(ctx, stream, name) }, jetstream.ErrConsumerNotFound)
}

func (p patientJetStream) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := esjs.Answered(ctx, func(ctx context.Context) (jetstream.KeyValue, error) { return p.JetStream.KeyValue(ctx, bucket) })
	return patientBucket{kv}, err
}

func (p patientJetStream) CreateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := esjs.Answered(ctx, func(ctx context.Context) (jetstream.KeyValue, error) { return p.JetStream.CreateKeyValue(ctx, cfg) })
	return patientBucket{kv}, err
}

func (p patientJetStream) DeleteKeyValue(ctx context.Context, bucket string) error {
	return done(ctx, func(ctx context.Context) error { return p.JetStream.DeleteKeyValue(ctx, bucket) }, jetstream.ErrBucketNotFound)
}

type patientStream struct{ jetstream.Stream }

func (p patientStream) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	return esjs.Answered(ctx, func(ctx context.Context) (*jetstream.StreamInfo, error) { return p.Stream.Info(ctx, opts...) })
}

func (p patientStream) GetMsg(ctx context.Context, sequence uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	return esjs.Answered(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return p.Stream.GetMsg(ctx, sequence, opts...)
	})
}

func (p patientStream) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	return esjs.Answered(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return p.Stream.GetLastMsgForSubject(ctx, subject)
	})
}

func (p patientStream) Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	return done(ctx, func(ctx context.Context) error { return p.Stream.Purge(ctx, opts...) })
}

func (p patientStream) OrderedConsumer(ctx context.Context, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	return esjs.Answered(ctx, func(ctx context.Context) (jetstream.Consumer, error) { return p.Stream.OrderedConsumer(ctx, cfg) })
}

type patientBucket struct{ jetstream.KeyValue }

func (p patientBucket) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	return esjs.Answered(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return p.KeyValue.Get(ctx, key) })
}

func (p patientBucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	return esjs.Answered(ctx, func(ctx context.Context) (uint64, error) { return p.KeyValue.Put(ctx, key, value) })
}

func (p patientBucket) PutString(ctx context.Context, key, value string) (uint64, error) {
	return p.Put(ctx, key, []byte(value))
}

func (p patientBucket) Purge(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	return done(ctx, func(ctx context.Context) error { return p.KeyValue.Purge(ctx, key, opts...) })
}
