package events

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MarshalJSON writes {"amount":"24.90","currency":"EUR"}: the amount is a
// string with exactly the currency's decimals, because a JavaScript number is
// exact only to 2^53.
func (m Money) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"amount":%q,"currency":%q}`, m.Amount(), m.currency), nil
}

// UnmarshalJSON reads what MarshalJSON writes, and amounts with fewer decimals.
func (m *Money) UnmarshalJSON(data []byte) error {
	var fields struct {
		Amount   *string `json:"amount"`
		Currency *string `json:"currency"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&fields); err != nil || fields.Amount == nil || fields.Currency == nil {
		return fmt.Errorf(`%w: money is written {"amount":"24.90","currency":"EUR"}`, ErrAmount)
	}
	if *fields.Currency == "" && *fields.Amount == "0" {
		*m = Money{}
		return nil
	}
	read, err := ParseMoney(*fields.Amount, *fields.Currency)
	if err != nil {
		return err
	}
	*m = read
	return nil
}
