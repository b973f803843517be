package gateway

import (
	"math"
	"net/http"

	"github.com/b144f99b/orderflow/services/gateway/signin"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// rememberedSubjects bounds whose requests are counted: of more, those that have
// asked nothing for the longest time begin anew.
const rememberedSubjects = 10_000

// limits are the rates at which subjects may send requests.
type limits struct {
	rate     rate.Limit
	burst    int
	subjects *lru.Cache[string, *rate.Limiter]
}

func newLimits(r rate.Limit, burst int) *limits {
	if r == 0 {
		r = 200
	}
	if burst == 0 {
		burst = int(math.Ceil(2 * float64(r))) // one at least, or nothing would ever be let through
	}
	subjects, _ := lru.New[string, *rate.Limiter](rememberedSubjects) // fails only for a size below 1
	return &limits{rate: r, burst: burst, subjects: subjects}
}

// take counts a request of p, or refuses it with "rate_limited", 429.
func (l *limits) take(p signin.Principal) error {
	limiter, known := l.subjects.Get(p.Subject)
	if !known {
		limiter = rate.NewLimiter(l.rate, l.burst)
		if earlier, found, _ := l.subjects.PeekOrAdd(p.Subject, limiter); found {
			limiter = earlier
		}
	}
	if limiter.Allow() {
		return nil
	}
	return problem(http.StatusTooManyRequests, "rate_limited", "you send more than %g requests a second; wait a moment", float64(l.rate))
}
