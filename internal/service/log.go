package service

import (
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// NewLogger writes one JSON object per line to w; when w is a terminal it
// writes for people instead. Entries below level are left out.
func NewLogger(w io.Writer, level zerolog.Level) zerolog.Logger {
	if IsTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// IsTerminal tells whether w is a terminal, so that a person is reading it.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
