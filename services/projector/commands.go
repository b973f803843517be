package projector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/services/projector/view"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// remembered is for how long a command that comes again is known.
const remembered = 7 * 24 * time.Hour

// commandLog is the record of operators' commands that were carried out, a table of
// its own. One that is repeated has no second effect: without it, a rebuild that is
// sent again when the first has ended would begin another one, and a promotion would
// undo the one that somebody else decided on since.
type commandLog struct {
	db *sql.DB
	mu sync.Mutex // one after the other, so that of two that come at once one is known to the other
}

const createCommands = `CREATE TABLE IF NOT EXISTS projector_commands (
	id     TEXT PRIMARY KEY,
	hash   TEXT NOT NULL,
	answer TEXT NOT NULL,
	at     TEXT NOT NULL
)`

// once carries a command out unless one with its id was, which is answered again; when
// that was another command it is [esjs.ErrCommandReused]. One without an id is
// carried out each time. Who is refused, or stopped before his command was recorded,
// may try it again.
func (l *commandLog) once(answer service.Answer) service.Answer {
	return func(ctx context.Context, cmd service.Command) (service.Reply, error) {
		if cmd.ID == "" {
			return answer(ctx, cmd)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		hash := cmd.Key + " " + esjs.CommandHash(cmd.Verb, cmd.Body)
		reply, known, err := l.find(ctx, cmd.ID, hash)
		if known || err != nil {
			return reply, err
		}
		if reply, err = answer(ctx, cmd); err != nil {
			return reply, err
		}
		return reply, l.keep(ctx, cmd.ID, hash, reply)
	}
}

func (l *commandLog) find(ctx context.Context, id, hash string) (reply service.Reply, known bool, err error) {
	var earlier, answer string
	err = l.db.QueryRowContext(ctx, `SELECT hash, answer FROM projector_commands WHERE id = $1`, id).Scan(&earlier, &answer)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return reply, false, nil
	case err != nil:
		return reply, false, err
	case earlier != hash:
		return reply, false, esjs.ErrCommandReused
	}
	var state jsontext.Value
	reply.State = &state
	if err := json.Unmarshal([]byte(answer), &reply); err != nil {
		return reply, false, fmt.Errorf("answer to the command %q: %w", id, err)
	}
	return reply, true, nil
}

func (l *commandLog) keep(ctx context.Context, id, hash string, reply service.Reply) error {
	answer, err := json.Marshal(reply)
	if err != nil {
		return err
	}
	now := time.Now()
	if _, err := l.db.ExecContext(ctx, `DELETE FROM projector_commands WHERE at < $1`, view.Sortable(now.Add(-remembered))); err != nil {
		return err
	}
	_, err = l.db.ExecContext(ctx, `INSERT INTO projector_commands (id, hash, answer, at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
		id, hash, string(answer), view.Sortable(now))
	return err
}
