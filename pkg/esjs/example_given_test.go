package esjs_test

import (
	"testing"

	"github.com/b144f99b/orderflow/pkg/esjs"
	"github.com/b144f99b/orderflow/pkg/esjs/esjstest"
)

func TestGiftCard(t *testing.T) {
	card, err := giftCard()
	if err != nil {
		t.Fatal(err)
	}
	esjstest.Given(t, card).
		When(IssueCard{Cents: 50_00}).
		Then(CardIssued{Cents: 50_00})
	used := []esjs.Event{CardIssued{Cents: 50_00}, CardRedeemed{Cents: 20_00}}
	esjstest.Given(t, card, used...).
		When(RedeemCard{Cents: 30_01}).
		ThenRefused("insufficient")
}
