package order

import "strings"

// isCardNumber tells what could be the number of a payment card by ISO/IEC 7812: 12 to
// 19 digits, of which the last one is Luhn's check digit. Blanks and hyphens between
// them do not count.
func isCardNumber(s string) bool {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(s)
	if len(digits) < 12 || len(digits) > 19 || strings.Trim(digits, "0123456789") != "" {
		return false
	}
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
