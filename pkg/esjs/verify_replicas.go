package esjs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// VerifyReplicas is [Verify] of each replica after the other, up to the same commit, and
// compares what they have. A replica that was damaged on its disk is not repaired by
// the others and answers as if it were healthy, so that this is the only way to
// find it before it becomes the leader.
//
// A replica is read by making it the stream's leader: the caller needs the right to
// $JS.API.STREAM.LEADER.STEPDOWN, and each change stops appends for a moment. At
// the end the first leader is asked to lead again. Snapshots are compared once.
//
// The reports are in the order of reading, those of one partition after those of the other. A
// replica that has something else than the first one of its partition has a [FindingReplica]. Errors: those of Verify; [ErrUnavailable] when
// a replica is offline or does not become the leader.
func VerifyReplicas[E Event](ctx context.Context, store *Store, codec *Codec[E], cfg VerifyConfig) ([]VerifyReport, error) {
	if err := store.checkPosition(cfg.Until); err != nil {
		return nil, err
	}
	var reports []VerifyReport
	until, snapshots := cfg.Until, cfg.Snapshots
	err := store.each(func(part *Store) error {
		last := until.only(part.partition)
		if last.IsZero() && !until.IsZero() {
			return nil
		}
		own, err := part.verifyReplicas(ctx, decoding(codec), last)
		reports = append(reports, own...)
		return err
	})
	for _, check := range snapshots {
		if err == nil && len(reports) > 0 {
			err = check.run(ctx, store, &reports[0])
		}
	}
	return reports, err
}

// verifyReplicas verifies the replicas of one partition.
func (s *Store) verifyReplicas(ctx context.Context, decode func(Record) error, last Position) ([]VerifyReport, error) {
	info, err := s.streamInfo(ctx, s.cfg.Stream)
	if err != nil {
		return nil, err
	}
	if last.IsZero() {
		last = s.at(info.State.LastSeq)
	}
	report, err := s.verifyPart(ctx, decode, last)
	if err != nil || len(info.Cluster.Replicas) == 0 {
		return []VerifyReport{report}, err
	}
	reports := []VerifyReport{report}
	for _, peer := range info.Cluster.Replicas {
		if peer.Name == report.Leader {
			continue
		}
		if report, err = s.verifyReplica(ctx, decode, last, peer.Name); err != nil {
			err = fmt.Errorf("replica %s: %w", peer.Name, err)
			break
		}
		if report.Digest != reports[0].Digest {
			report.add(Finding{Kind: FindingReplica, Reason: fmt.Sprintf("%s has something else than %s", report.Leader, reports[0].Leader)})
		}
		reports = append(reports, report)
	}
	return reports, errors.Join(err, s.lead(ctx, reports[0].Leader))
}

// verifyReplica verifies the log of one server. It tries again when another one
// became the leader meanwhile.
func (s *Store) verifyReplica(ctx context.Context, decode func(Record) error, last Position, server string) (VerifyReport, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		if err := s.lead(ctx, server); err != nil {
			return VerifyReport{}, err
		}
		report, err := s.verifyPart(ctx, decode, last)
		if err == nil && report.Leader != server {
			err = fmt.Errorf("%w: %s is the leader", ErrUnavailable, report.Leader)
		}
		if !errors.Is(err, ErrUnavailable) || attempt == attempts {
			return report, err
		}
	}
}

const (
	// leadsWithin bounds how long a server may take to become the leader, and
	// electionTakes one election. While there is no leader nobody answers: it is
	// asked again after answersLeader.
	leadsWithin   = 30 * time.Second
	electionTakes = 3 * time.Second
	answersLeader = 300 * time.Millisecond
)

// lead makes a server the leader of the event stream. A request that the servers do not
// answer, or that brings another leader, is repeated.
func (s *Store) lead(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leadsWithin,
		fmt.Errorf("%w: %s did not become the leader of %s in %s", ErrUnavailable, server, s.cfg.Stream, leadsWithin))
	defer cancel()
	request, err := json.Marshal(map[string]any{"placement": map[string]any{"preferred": server}})
	if err != nil {
		return err
	}
	for asked := (time.Time{}); ; {
		leader, err := s.leaderNow(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && (permanent(err) || isRefusal(err)):
			return err
		case err == nil && leader == server:
			return nil
		case err == nil && time.Since(asked) > electionTakes:
			if err := s.stepDown(ctx, request); err != nil {
				return fmt.Errorf("esjs: make %s the leader of %s: %w", server, s.cfg.Stream, err)
			}
			asked = time.Now()
		default:
			sleep(ctx, followRetryFirst)
		}
	}
}

// leaderNow asks once who leads; errNoAnswer when nobody does.
func (s *Store) leaderNow(ctx context.Context) (string, error) {
	attempt, cancel := context.WithTimeout(ctx, answersLeader)
	defer cancel()
	info, err := s.streamInfoOnce(attempt, s.cfg.Stream, nil, answersLeader)
	if err != nil && attempt.Err() != nil {
		return "", errNoAnswer
	}
	return info.Cluster.Leader, err
}

// stepDown asks the leader to leave; nil also when it does not answer, or was just replaced by itself: where it cannot
// hand over it says so with the code of a raft group.
func (s *Store) stepDown(ctx context.Context, request []byte) error {
	answer, err := s.general.do(ctx, &nats.Msg{Subject: "$JS.API.STREAM.LEADER.STEPDOWN." + s.cfg.Stream, Data: request})
	if err == nil {
		err = refusal(answer)
	}
	if api := (*jetstream.APIError)(nil); errors.As(err, &api) && api.ErrorCode == codeRaft {
		return nil
	}
	if err != nil && (permanent(err) || isRefusal(err)) {
		return err
	}
	return nil
}

// refusal is the error that an answer of JetStream's API carries, or nil.
func refusal(answer *nats.Msg) error {
	var said struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &said); err != nil {
		return err
	}
	if said.Error != nil {
		return said.Error
	}
	return nil
}
