package console

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"

	"github.com/b144f99b/orderflow/services/gateway/desk"
	"github.com/rs/zerolog"
)

// Config is the console's wiring.
type Config struct {
	Desk *desk.Desk
	// SignedIn calls a handler with the principal in the request's context, or
	// returns why nobody is let in.
	SignedIn func(Handler) Handler
	// SignsIn tells that people have to sign in.
	SignsIn bool
	// Timeout bounds one question or command. Default 12 s.
	Timeout time.Duration
	Log     zerolog.Logger
}

// Handler answers a request, or returns why not, and has then written nothing.
type Handler = func(http.ResponseWriter, *http.Request) error

// Console is the web console. It is safe for concurrent use.
type Console struct {
	desk     *desk.Desk
	signedIn func(Handler) Handler
	signsIn  bool
	timeout  time.Duration
	log      zerolog.Logger
	pages    map[string]*template.Template
	assets   fs.FS
}

//go:embed pages assets
var files embed.FS

// New makes a console. It fails only when a template in it is broken.
func New(cfg Config) (*Console, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 12 * time.Second
	}
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		return nil, err
	}
	pages, err := parsePages(files)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return &Console{
		desk: cfg.Desk, signedIn: cfg.SignedIn, signsIn: cfg.SignsIn,
		timeout: cfg.Timeout, log: cfg.Log, pages: pages, assets: assets,
	}, nil
}

// Root is the path below which the console is.
const Root = "/console/"

// Routes gives handle each pattern of the console with its handler.
func (c *Console) Routes(handle func(pattern string, h http.Handler)) {
	handle("GET /{$}", http.RedirectHandler(Root, http.StatusSeeOther))
	handle("GET "+Root+"assets/{file}", http.HandlerFunc(c.asset))
	for pattern, h := range map[string]handler{
		"GET " + Root + "sign-in":   signInPage,
		"POST " + Root + "sign-in":  signIn,
		"POST " + Root + "sign-out": signOut,
		"POST " + Root + "theme":    setTheme,
	} {
		handle(pattern, c.open(h))
	}
	for pattern, h := range map[string]handler{
		"GET " + Root + "{$}": home,

		"GET " + Root + "orders":                     orderList,
		"GET " + Root + "orders/new":                 newOrder,
		"POST " + Root + "orders":                    placeOrder,
		"GET " + Root + "orders/{id}":                orderPage,
		"GET " + Root + "orders/{id}/history":        historyPage,
		"GET " + Root + "orders/{id}/causes":         causesPage,
		"POST " + Root + "orders/{id}/{verb}":        commandOrder,
		"GET " + Root + "events":                     eventList,
		"GET " + Root + "events/{id}":                eventPage,
		"GET " + Root + "sagas":                      sagaBoard,
		"POST " + Root + "sagas/bulk":                bulkRetry,
		"POST " + Root + "sagas/{order}/{verb}":      commandSaga,
		"GET " + Root + "products":                   productsPage,
		"GET " + Root + "stock":                      stockPage,
		"GET " + Root + "stock/{sku}":                movementsPage,
		"POST " + Root + "stock":                     offerProduct,
		"POST " + Root + "stock/{sku}/receive":       receiveGoods,
		"GET " + Root + "sales":                      salesPage,
		"GET " + Root + "projections":                projectionsPage,
		"POST " + Root + "projections/{name}/{verb}": commandProjection,
		"GET " + Root + "payments":                   paymentList,
		"GET " + Root + "payments/{id}":              paymentPage,
		"GET " + Root + "customers":                  customerList,
		"GET " + Root + "customers/{id}":             customerPage,
		Root:                                         noSuchPage,
	} {
		handle(pattern, c.closed(h))
	}
}
