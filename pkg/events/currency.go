package events

import (
	"fmt"
	"strings"
)

// exponents maps the currencies of ISO 4217 in use (list one, 2026) to the
// decimals of their minor unit. Funds and metals without a minor unit (XAU,
// XDR, XTS …) are not money here.
var exponents = exponentTable(map[int]string{
	0: `BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF`,
	2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
	    CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
	    HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU
	    MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR
	    SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED
	    VES WST XAD XCD XCG YER ZAR ZMW ZWG`,
	3: `BHD IQD JOD KWD LYD OMR TND`,
	4: `CLF UYW`,
})

func exponentTable(byExponent map[int]string) map[string]int {
	table := map[string]int{}
	for exp, codes := range byExponent {
		for code := range strings.FieldsSeq(codes) {
			table[code] = exp
		}
	}
	return table
}

// exponent returns the currency's number of decimals.
func exponent(currency string) (int, error) {
	exp, ok := exponents[currency]
	if !ok {
		return 0, fmt.Errorf("%w %q is not an ISO 4217 code in use, such as EUR, USD or JPY", ErrCurrency, clip(currency))
	}
	return exp, nil
}
