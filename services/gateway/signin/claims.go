package signin

import (
	"encoding/json"
	"errors"
	"strings"
)

// roleNames are the roles of a token, which issuers write as a list or as words
// in one string.
type roleNames []string

// UnmarshalJSON reads either form; package jwt decodes with encoding/json.
func (r *roleNames) UnmarshalJSON(data []byte) error {
	var list []string
	if err := json.Unmarshal(data, &list); err == nil {
		*r = list
		return nil
	}
	var words string
	if err := json.Unmarshal(data, &words); err != nil {
		return errors.New(`"roles" must be a list of strings, or one string with words`)
	}
	*r = strings.Fields(words)
	return nil
}
