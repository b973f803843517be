package events

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Money errors, matched with errors.Is.
var (
	// ErrCurrency: a currency that is not in use, or two different ones.
	ErrCurrency = errors.New("currency")
	// ErrAmount: an amount that is not written as a decimal of its currency.
	ErrAmount = errors.New("amount")
	// ErrOverflow: a result outside of what 64 bits of minor units hold.
	ErrOverflow = errors.New("amount out of range")
)

// Money is an exact amount of one currency, counted in its minor unit (cents).
// It is a value: compare it with ==. The zero Money has no currency; adding to
// it gives the other operand. Arithmetic returns an error instead of wrapping,
// and never mixes currencies.
type Money struct {
	minor    int64
	currency string
}

// NewMoney returns minor units of an ISO 4217 currency; [ErrCurrency] when the
// currency is not in use.
func NewMoney(minor int64, currency string) (Money, error) {
	if _, err := exponent(currency); err != nil {
		return Money{}, err
	}
	return Money{minor: minor, currency: currency}, nil
}

// ParseMoney reads a decimal like "24.90" or "-3" exactly. Fewer decimals than
// the currency has are filled with zeros; more are refused, also when they are
// zeros. Errors: [ErrCurrency], [ErrAmount], [ErrOverflow].
func ParseMoney(amount, currency string) (Money, error) {
	exp, err := exponent(currency)
	if err != nil {
		return Money{}, err
	}
	digits, negative := strings.CutPrefix(amount, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !isDigits(whole) || (len(whole) > 1 && whole[0] == '0') || (point && !isDigits(fraction)) {
		return Money{}, fmt.Errorf("%w %q is not a decimal number such as %q", ErrAmount, clip(amount), Money{minor: 1250, currency: currency}.Amount())
	}
	if len(fraction) > exp {
		return Money{}, fmt.Errorf("%w %q has %d decimals, %s allows at most %d", ErrAmount, clip(amount), len(fraction), currency, exp)
	}
	// Accumulated as a negative number, because there is one more of them.
	var minor int64
	for _, c := range whole + fraction + strings.Repeat("0", exp-len(fraction)) {
		d := int64(c - '0')
		if minor < (math.MinInt64+d)/10 {
			return Money{}, fmt.Errorf("%w: %q %s", ErrOverflow, clip(amount), currency)
		}
		minor = minor*10 - d
	}
	if !negative {
		if minor == math.MinInt64 {
			return Money{}, fmt.Errorf("%w: %q %s", ErrOverflow, clip(amount), currency)
		}
		minor = -minor
	}
	return Money{minor: minor, currency: currency}, nil
}

// MustMoney is [ParseMoney] for amounts that are written in a program; it panics
// when one is wrong.
func MustMoney(amount, currency string) Money {
	m, err := ParseMoney(amount, currency)
	if err != nil {
		panic(err)
	}
	return m
}

// Minor returns the amount in minor units.
func (m Money) Minor() int64 { return m.minor }

// Currency returns the ISO 4217 code, "" for the zero Money.
func (m Money) Currency() string { return m.currency }

// Sign returns -1, 0 or 1.
func (m Money) Sign() int {
	switch {
	case m.minor < 0:
		return -1
	case m.minor > 0:
		return 1
	}
	return 0
}

// Amount returns the decimal with exactly the currency's decimals: "24.90".
func (m Money) Amount() string {
	exp, _ := exponent(m.currency) // the zero Money has none
	sign, abs := "", uint64(m.minor)
	if m.minor < 0 {
		sign, abs = "-", -abs
	}
	text := fmt.Sprintf("%0*d", exp+1, abs)
	if exp == 0 {
		return sign + text
	}
	return sign + text[:len(text)-exp] + "." + text[len(text)-exp:]
}

// String returns "24.90 EUR".
func (m Money) String() string { return strings.TrimSpace(m.Amount() + " " + m.currency) }

// Add returns m + o. Errors: [ErrCurrency], [ErrOverflow].
func (m Money) Add(o Money) (Money, error) {
	currency, err := m.common(o)
	if err != nil {
		return Money{}, err
	}
	sum := m.minor + o.minor
	if (sum > m.minor) != (o.minor > 0) {
		return Money{}, fmt.Errorf("%w: %s + %s", ErrOverflow, m, o)
	}
	return Money{minor: sum, currency: currency}, nil
}

// Sub returns m - o. Errors: [ErrCurrency], [ErrOverflow].
func (m Money) Sub(o Money) (Money, error) {
	currency, err := m.common(o)
	if err != nil {
		return Money{}, err
	}
	diff := m.minor - o.minor
	if (diff < m.minor) != (o.minor > 0) {
		return Money{}, fmt.Errorf("%w: %s - %s", ErrOverflow, m, o)
	}
	return Money{minor: diff, currency: currency}, nil
}

// Mul returns m * n. Error: [ErrOverflow].
func (m Money) Mul(n int64) (Money, error) {
	hi, lo := bits.Mul64(magnitude(m.minor), magnitude(n))
	negative := (m.minor < 0) != (n < 0)
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	if hi != 0 || lo > limit {
		return Money{}, fmt.Errorf("%w: %s * %d", ErrOverflow, m, n)
	}
	if negative {
		lo = -lo
	}
	return Money{minor: int64(lo), currency: m.currency}, nil
}

// Cmp returns -1, 0 or 1 as m is below, equal to or above o. Error: [ErrCurrency].
func (m Money) Cmp(o Money) (int, error) {
	if _, err := m.common(o); err != nil {
		return 0, err
	}
	switch {
	case m.minor < o.minor:
		return -1, nil
	case m.minor > o.minor:
		return 1, nil
	}
	return 0, nil
}

// Split divides m in proportion to the weights by the method of the largest
// remainder: the parts sum to m exactly, each differs from its exact share by
// less than one minor unit, and among equal remainders the first part gets the
// unit. Weights are not negative and not all zero, else [ErrAmount].
func (m Money) Split(weights ...int64) ([]Money, error) {
	var total uint64
	for _, w := range weights {
		if w < 0 {
			return nil, fmt.Errorf("%w cannot be split by the negative weight %d", ErrAmount, w)
		}
		sum, carry := bits.Add64(total, uint64(w), 0)
		if carry != 0 {
			return nil, fmt.Errorf("%w: the sum of the weights", ErrOverflow)
		}
		total = sum
	}
	if total == 0 {
		return nil, fmt.Errorf("%w cannot be split without a weight above zero", ErrAmount)
	}
	whole := magnitude(m.minor)
	parts, remainders, left := make([]uint64, len(weights)), make([]uint64, len(weights)), whole
	for i, w := range weights {
		hi, lo := bits.Mul64(whole, uint64(w))
		parts[i], remainders[i] = bits.Div64(hi, lo, total) // hi < total, because w <= total
		left -= parts[i]
	}
	for ; left > 0; left-- {
		largest := 0
		for i, r := range remainders {
			if r > remainders[largest] {
				largest = i
			}
		}
		parts[largest]++
		remainders[largest] = 0
	}
	out := make([]Money, len(weights))
	for i, p := range parts {
		if m.minor < 0 {
			p = -p
		}
		out[i] = Money{minor: int64(p), currency: m.currency}
	}
	return out, nil
}

// common returns the one currency of m and o. The zero Money fits any.
func (m Money) common(o Money) (string, error) {
	switch {
	case m == Money{}:
		return o.currency, nil
	case o == Money{}, m.currency == o.currency:
		return m.currency, nil
	}
	return "", fmt.Errorf("%w: %s and %s do not mix", ErrCurrency, m, o)
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// clip keeps an error about a long input short.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
