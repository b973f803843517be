package signin

import (
	"context"
	"slices"
	"time"
)

// Role is what a principal may do.
type Role string

// The roles that exist. A token's other roles are none of ours and are left out.
const (
	Customer Role = "customer" // reads and changes the orders of one customer
	Operator Role = "operator" // reads and changes everything
	Auditor  Role = "auditor"  // reads everything
)

// Roles returns every role.
func Roles() []Role { return []Role{Customer, Operator, Auditor} }

// Principal is who a request comes from.
type Principal struct {
	Subject string // as the issuer names it; never empty
	// CustomerID is whose orders are the principal's own, when it has the role customer.
	CustomerID string
	Roles      []Role
	Expires    time.Time // end of what the token allows; zero: none
}

// Has tells that p has one of the roles.
func (p Principal) Has(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(p.Roles, r) })
}

// OnlyCustomer tells that p sees its own orders and no others.
func (p Principal) OnlyCustomer() bool {
	return p.Has(Customer) && !p.Has(Operator, Auditor)
}

type contextKey struct{}

// With returns a context that carries p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the principal that ctx carries; false when nobody has signed in.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}
