package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/go-json-experiment/json/jsontext"
)

// hasControls tells that text has what people cannot see and not every database
// can store: PostgreSQL has no U+0000.
func hasControls(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }

// texts are the fields in which people may write several lines.
var texts = []string{"reason", "evidence"}

// checkStrings refuses control characters in the strings of a body that is valid JSON,
// but for line breaks and tabs where people write several lines.
func checkStrings(body []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case token.Kind() != '"':
			continue
		}
		text, allowed := token.String(), "printable text is"
		if slices.Contains(texts, d.StackPointer().LastToken()) {
			text = strings.NewReplacer("\n", "", "\t", "").Replace(text)
			allowed = "printable text, line feeds and tabs are"
		}
		if hasControls(text) {
			return &esjs.Rejection{
				Code:    "field_invalid",
				Message: fmt.Sprintf("the field %s has control characters; only %s allowed", fieldName(d.StackPointer()), allowed),
				Status:  http.StatusUnprocessableEntity,
			}
		}
	}
}
