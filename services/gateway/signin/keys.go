package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// Keys are read again this often, and at once, but not more often than
	// keysPause, when a token names a key that is not known: so a key that the
	// issuer has just begun to use works, and nobody can make us ask for more.
	keysEvery = 5 * time.Minute
	keysPause = 15 * time.Second
	// keysRetry is the pause while there are no keys at all.
	keysRetry   = 2 * time.Second
	keysTimeout = 5 * time.Second
	maxKeys     = 1 << 20 // bytes of a key set
)

var errNoKeys = errors.New("the issuer's keys have not been read yet")

// keys are the issuer's public keys, a JWK set at a URL or in a file.
type keys struct {
	from   string
	isURL  bool
	client *http.Client

	current atomic.Pointer[keyfunc.Keyfunc] // nil: never read
	mu      sync.Mutex
	asked   time.Time // when they were last read, or it was tried
}

func newKeys(from string) (*keys, error) {
	k := &keys{from: from, client: &http.Client{Timeout: keysTimeout, CheckRedirect: onlyProtected}}
	at, err := url.Parse(from)
	switch {
	case err == nil && isProtected(at):
		k.isURL = true
	case err == nil && at.Scheme == "http":
		return nil, fmt.Errorf("the keys at %s come unprotected; who can change them on their way can sign in as anybody: give an https URL or a file", from)
	default: // a file is there, or is a mistake to be told at once
		return k, k.read(context.Background())
	}
	return k, nil
}

// isProtected tells that nobody can change what comes from a URL on its way.
func isProtected(at *url.URL) bool {
	return at.Scheme == "https" || at.Scheme == "http" && isLoopback(at.Hostname())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// maxRedirects is as many as a [http.Client] follows by itself.
const maxRedirects = 10

// onlyProtected follows redirects as long as nobody can change what comes, and from https
// to https alone: a loopback address that the issuer names is ours, and not the issuer's.
func onlyProtected(next *http.Request, before []*http.Request) error {
	switch {
	case len(before) >= maxRedirects:
		return fmt.Errorf("%d redirects are too many", len(before))
	case next.URL.Scheme == "https", next.URL.Scheme == before[len(before)-1].URL.Scheme && isProtected(next.URL):
		return nil
	}
	return fmt.Errorf("it redirects to %s, from where keys come unprotected", next.URL)
}

// read replaces the keys by those that there are now; after an error they are
// what they were.
func (k *keys) read(ctx context.Context) error {
	var (
		data []byte
		err  error
	)
	if k.isURL {
		data, err = k.fetch(ctx)
	} else {
		data, err = os.ReadFile(k.from)
	}
	if err != nil {
		return fmt.Errorf("the issuer's keys: %w", err)
	}
	set, err := keyfunc.NewJWKSetJSON(data)
	if err != nil {
		return fmt.Errorf("the issuer's keys in %s are not a JWK set: %w", k.from, err)
	}
	k.current.Store(&set)
	return nil
}

func (k *keys) fetch(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.from, nil)
	if err != nil {
		return nil, err
	}
	answer, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", k.from, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxKeys))
}

// find returns the key that signed a token.
func (k *keys) find(ctx context.Context, token *jwt.Token) (any, error) {
	set := k.current.Load()
	if set == nil {
		return nil, errNoKeys
	}
	key, err := (*set).KeyfuncCtx(ctx)(token)
	if !errors.Is(err, jwkset.ErrKeyNotFound) || !k.again(ctx, set) {
		return key, err
	}
	return (*k.current.Load()).KeyfuncCtx(ctx)(token)
}

// again tells that there are newer keys than those that were seen: somebody else
// has read them meanwhile, or it does so itself, unless that was tried a moment ago.
// A caller who goes away does not end a reading that others wait for.
func (k *keys) again(ctx context.Context, seen *keyfunc.Keyfunc) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current.Load() != seen {
		return true
	}
	if time.Since(k.asked) < keysPause {
		return false
	}
	k.asked = time.Now()
	return k.read(context.WithoutCancel(ctx)) == nil
}

// run keeps the keys current until ctx ends; told is called with what became of
// each reading.
func (k *keys) run(ctx context.Context, told func(error)) error {
	for ctx.Err() == nil {
		k.mu.Lock()
		k.asked = time.Now()
		read := k.read(ctx)
		k.mu.Unlock()
		told(read)
		pause := keysEvery
		if k.current.Load() == nil {
			pause = keysRetry
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

func (k *keys) String() string {
	if k.isURL {
		return k.from
	}
	return "the file " + strings.TrimSpace(k.from)
}
