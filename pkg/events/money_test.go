package events_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/b144f99b/orderflow/pkg/events"
)

var (
	currencies = rapid.SampledFrom([]string{"JPY", "EUR", "USD", "BHD", "CLF"})
	minors     = rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 0}))
)

func drawMoney(t *rapid.T, currency, label string) events.Money {
	m, err := events.NewMoney(minors.Draw(t, label), currency)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMoneyIsParsedExactly(t *testing.T) {
	tests := []struct {
		amount, currency string
		want             string // as it is written, or
		err              error
	}{
		{amount: "24.90", currency: "EUR", want: "24.90"},
		{amount: "24.9", currency: "EUR", want: "24.90"},
		{amount: "24", currency: "EUR", want: "24.00"},
		{amount: "0.05", currency: "EUR", want: "0.05"},
		{amount: "-0.05", currency: "EUR", want: "-0.05"},
		{amount: "500", currency: "JPY", want: "500"},
		{amount: "1.234", currency: "BHD", want: "1.234"},
		{amount: "92233720368547758.07", currency: "USD", want: "92233720368547758.07"},
		{amount: "-92233720368547758.08", currency: "USD", want: "-92233720368547758.08"},
		{amount: "92233720368547758.08", currency: "USD", err: events.ErrOverflow},
		{amount: "-92233720368547758.09", currency: "USD", err: events.ErrOverflow},
		{amount: "9223372036854775807", currency: "EUR", err: events.ErrOverflow},
		{amount: "24.900", currency: "EUR", err: events.ErrAmount},
		{amount: "500.0", currency: "JPY", err: events.ErrAmount},
		{amount: "", currency: "EUR", err: events.ErrAmount},
		{amount: "-", currency: "EUR", err: events.ErrAmount},
		{amount: ".5", currency: "EUR", err: events.ErrAmount},
		{amount: "5.", currency: "EUR", err: events.ErrAmount},
		{amount: "+5", currency: "EUR", err: events.ErrAmount},
		{amount: "007", currency: "EUR", err: events.ErrAmount},
		{amount: "1e2", currency: "EUR", err: events.ErrAmount},
		{amount: "1,000", currency: "EUR", err: events.ErrAmount},
		{amount: " 1", currency: "EUR", err: events.ErrAmount},
		{amount: "٣", currency: "EUR", err: events.ErrAmount},
		{amount: "1", currency: "eur", err: events.ErrCurrency},
		{amount: "1", currency: "DEM", err: events.ErrCurrency},
		{amount: "1", currency: "XAU", err: events.ErrCurrency},
		{amount: "1", currency: "", err: events.ErrCurrency},
	}
	for _, test := range tests {
		m, err := events.ParseMoney(test.amount, test.currency)
		if !errors.Is(err, test.err) || (err == nil && m.Amount() != test.want) {
			t.Errorf("ParseMoney(%q, %q) = %v, %v; want %s, %v", test.amount, test.currency, m, err, test.want, test.err)
		}
	}
}

func TestMoneySurvivesTextAndJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMoney(t, currencies.Draw(t, "currency"), "minor")
		if again, err := events.ParseMoney(m.Amount(), m.Currency()); err != nil || again != m {
			t.Fatalf("%v was read back as %v, %v", m, again, err)
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again events.Money
		if err := json.Unmarshal(data, &again); err != nil || again != m {
			t.Fatalf("%s was read back as %v, %v", data, again, err)
		}
	})
}

func TestMoneyRefusesOtherJSON(t *testing.T) {
	for _, data := range []string{
		`{"amount":24.90,"currency":"EUR"}`, `{"amount":"24.90"}`, `{"currency":"EUR"}`, `{}`, `"24.90"`, `null`,
		`{"amount":"24.90","currency":"EUR","cents":0}`, `{"amount":"24.901","currency":"EUR"}`, `{"amount":"0","currency":"eur"}`,
	} {
		var m events.Money
		if err := m.UnmarshalJSON([]byte(data)); err == nil {
			t.Errorf("%s was read as %v", data, m)
		}
	}
}

func TestMoneyArithmeticIsExactOrAnError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		currency := currencies.Draw(t, "currency")
		a, b, n := drawMoney(t, currency, "a"), drawMoney(t, currency, "b"), minors.Draw(t, "n")
		x, y := big.NewInt(a.Minor()), big.NewInt(b.Minor())
		sum, sumErr := a.Add(b)
		exactOr(t, "+", new(big.Int).Add(x, y), sum, sumErr)
		diff, diffErr := a.Sub(b)
		exactOr(t, "-", new(big.Int).Sub(x, y), diff, diffErr)
		product, productErr := a.Mul(n)
		exactOr(t, "*", new(big.Int).Mul(x, big.NewInt(n)), product, productErr)
		if c, err := a.Cmp(b); err != nil || c != x.Cmp(y) {
			t.Fatalf("cmp = %d, %v", c, err)
		}
		if a.Sign() != x.Sign() {
			t.Fatalf("sign = %d", a.Sign())
		}
	})
}

func exactOr(t *rapid.T, op string, want *big.Int, got events.Money, err error) {
	t.Helper()
	switch {
	case !want.IsInt64():
		if !errors.Is(err, events.ErrOverflow) {
			t.Fatalf("%s is %s, beyond 64 bits, and gave %v, %v", op, want, got, err)
		}
	case err != nil || got.Minor() != want.Int64():
		t.Fatalf("%s is %s and gave %v, %v", op, want, got, err)
	}
}

func TestMoneyNeverMixesCurrencies(t *testing.T) {
	euro, _ := events.NewMoney(1, "EUR")
	yen, _ := events.NewMoney(1, "JPY")
	_, add := euro.Add(yen)
	_, sub := euro.Sub(yen)
	_, cmp := euro.Cmp(yen)
	for _, err := range []error{add, sub, cmp} {
		if !errors.Is(err, events.ErrCurrency) {
			t.Errorf("EUR and JPY were mixed: %v", err)
		}
	}
	if sum, err := (events.Money{}).Add(euro); err != nil || sum != euro {
		t.Errorf("the zero Money plus %v is %v, %v", euro, sum, err)
	}
}

func TestSplitPartsSumToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMoney(t, currencies.Draw(t, "currency"), "minor")
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, math.MaxInt64/8)), 1, 8).Draw(t, "weights")
		total := new(big.Int)
		for _, w := range weights {
			total.Add(total, big.NewInt(w))
		}
		parts, err := m.Split(weights...)
		if total.Sign() == 0 {
			if !errors.Is(err, events.ErrAmount) {
				t.Fatalf("no weight above zero gave %v, %v", parts, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int)
		for i, p := range parts {
			sum.Add(sum, big.NewInt(p.Minor()))
			// |part * total - whole * weight| < total: within one minor unit of the exact share.
			off := new(big.Int).Mul(big.NewInt(p.Minor()), total)
			off.Sub(off, new(big.Int).Mul(big.NewInt(m.Minor()), big.NewInt(weights[i])))
			if off.Abs(off).Cmp(total) >= 0 {
				t.Fatalf("part %d of %v by %v is %v", i, m, weights, p)
			}
		}
		if sum.Cmp(big.NewInt(m.Minor())) != 0 {
			t.Fatalf("%v by %v gave %v, which sum to %s", m, weights, parts, sum)
		}
	})
}

func TestSplitGivesTheLargestRemaindersTheirUnit(t *testing.T) {
	euro, _ := events.ParseMoney("1.00", "EUR")
	parts, err := euro.Split(1, 1, 1)
	if err != nil || parts[0].Amount() != "0.34" || parts[1].Amount() != "0.33" || parts[2].Amount() != "0.33" {
		t.Errorf("a third each of 1.00: %v, %v", parts, err)
	}
	if _, err := euro.Split(1, -1); !errors.Is(err, events.ErrAmount) {
		t.Errorf("a negative weight: %v", err)
	}
	if _, err := euro.Split(math.MaxInt64, math.MaxInt64, 2); !errors.Is(err, events.ErrOverflow) {
		t.Errorf("weights beyond 64 bits: %v", err)
	}
}

func TestMustMoneyPanicsOnAMistake(t *testing.T) {
	if got := events.MustMoney("24.9", "EUR").Amount(); got != "24.90" {
		t.Errorf("got %s", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("an amount with too many decimals was taken")
		}
	}()
	events.MustMoney("24.905", "EUR")
}
