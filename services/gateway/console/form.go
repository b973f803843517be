package console

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// maxForm bounds a form in bytes. The largest one is a bulk retry of [maxBulk] sagas.
const maxForm = 256 << 10

// readForm reads the form of a POST, so that nothing reads more of it than that:
// "unsupported_media_type", 415, "body_too_large", 413, or "bad_request", 400.
func (v *visit) readForm() error {
	if v.Method != http.MethodPost {
		return nil
	}
	const urlencoded = "application/x-www-form-urlencoded"
	if given, _, err := mime.ParseMediaType(v.Header.Get("Content-Type")); err != nil || given != urlencoded {
		return refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", "the form is sent as %.60q; it must be %s", v.Header.Get("Content-Type"), urlencoded)
	}
	v.Body = http.MaxBytesReader(v.w, v.Body, maxForm)
	err := v.ParseForm()
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return refuse(http.StatusRequestEntityTooLarge, "body_too_large", "the form is longer than the %d bytes that are read", tooLarge.Limit)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "bad_request", "the form cannot be read: %v", err)
	}
	return nil
}

// commandID is the id that the page's form sends: a new one, or that of the command
// which may have been done although nobody answered, so that it is not done twice.
func (v *visit) commandID() string {
	if v.problem != nil && v.problem.Status >= http.StatusInternalServerError {
		if id := v.PostFormValue("command_id"); id != "" {
			return id
		}
	}
	return uuid.NewString()
}

// text is a field in which several lines may be written. A browser ends each with a
// carriage return too.
func (v *visit) text(field string) string {
	return strings.TrimSpace(strings.ReplaceAll(v.PostFormValue(field), "\r\n", "\n"))
}
