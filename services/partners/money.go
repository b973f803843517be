package partners

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// Money is an exact decimal amount of a currency: {"amount":"24.90","currency":"EUR"}.
type Money struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

var (
	amountForm   = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})(\.[0-9]{1,4})?$`)
	currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)
)

// check returns what is wrong with an amount that a request brought; it has to
// be more than zero.
func (m Money) check() error {
	if !amountForm.MatchString(m.Amount) || m.rat().Sign() == 0 {
		return fmt.Errorf("amount %q must be a decimal string above zero, for example \"24.90\"", m.Amount)
	}
	if !currencyForm.MatchString(m.Currency) {
		return fmt.Errorf("currency %q must be three capital letters, for example \"EUR\"", m.Currency)
	}
	return nil
}

func (m Money) rat() *big.Rat {
	r, ok := new(big.Rat).SetString(m.Amount)
	if !ok {
		return new(big.Rat) // the zero Money: nothing yet
	}
	return r
}

func (m Money) decimals() int {
	_, fraction, _ := strings.Cut(m.Amount, ".")
	return len(fraction)
}

// plus adds an amount of the same currency; the zero Money is nothing.
func (m Money) plus(o Money) Money {
	sum := new(big.Rat).Add(m.rat(), o.rat())
	return Money{Amount: sum.FloatString(max(m.decimals(), o.decimals())), Currency: o.Currency}
}

// exceeds tells that m is more than o, or of another currency.
func (m Money) exceeds(o Money) bool {
	return m.Currency != o.Currency || m.rat().Cmp(o.rat()) > 0
}
