package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
)

// contexts makes a directory of contexts as the nats CLI keeps them, by name.
func contexts(t *testing.T, all map[string]string, selected string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv(variableContext, "")
	dir = filepath.Join(dir, "nats")
	if err := os.MkdirAll(filepath.Join(dir, "context"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"context.txt": selected}
	for name, text := range all {
		files[filepath.Join("context", name+".json")] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAContextOfTheNATSCLISaysWhereTheServerIs(t *testing.T) {
	contexts(t, map[string]string{
		"staging": `{"url":"nats://staging:4222"}`,
		"shop":    `{"url":"nats://shop:4222,nats://shop2:4222","creds":"/nowhere/shop.creds"}`,
		"named":   `{"url":"nats://named:4222","user":"ann","password":"secret"}`,
		"leaf":    `{"url":"nats://leaf:4222","jetstream_domain":"hub"}`,
		"broken":  `{"url":`,
	}, "staging")
	for name, c := range map[string]struct {
		settings settings
		variable string
		url      string
		says     string // when it is refused
	}{
		"selected":              {url: "nats://staging:4222"},
		"by the variable":       {variable: "shop", url: "nats://shop:4222,nats://shop2:4222"},
		"by the flag":           {settings: settings{context: "named"}, variable: "shop", url: "nats://named:4222"},
		"a URL wins":            {settings: settings{natsURL: "nats://here:1"}, variable: "shop", url: "nats://here:1"},
		"a URL and a context":   {settings: settings{natsURL: "nats://here:1", context: "shop"}, says: "give one of them"},
		"other credentials":     {settings: settings{context: "shop", credentials: "/nowhere/mine.creds"}, url: "nats://shop:4222,nats://shop2:4222"},
		"two users":             {settings: settings{context: "named", credentials: "/nowhere/mine.creds"}, says: "a user of its own"},
		"one that is not there": {settings: settings{context: "stagging"}, says: `there is no NATS context "stagging"`},
		"not by the variable":   {variable: "stagging", says: `there is no NATS context "stagging"`},
		"a domain":              {settings: settings{context: "leaf"}, says: "JetStream domain"},
		"not JSON":              {settings: settings{context: "broken"}, says: `the NATS context "broken"`},
	} {
		t.Setenv(variableContext, c.variable)
		url, _, err := c.settings.server()
		if c.says == "" && (err != nil || url != c.url) {
			t.Errorf("%s: %s, %v; want %s", name, url, err, c.url)
		}
		if c.says != "" && (err == nil || exitStatus(err) != service.ExitUsage || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %s, %v; want a refusal with %q", name, url, err, c.says)
		}
	}
	contexts(t, nil, "")
	if url, opts, err := (&settings{}).server(); url != defaultNATSURL || len(opts) != 0 || err != nil {
		t.Errorf("without a context: %s, %d options, %v", url, len(opts), err)
	}
}

// Who connects is what the context says, on a server that lets nobody else in.
func TestAContextOfTheNATSCLISaysWhoConnects(t *testing.T) {
	seed, public := nkeyUser(t)
	for name, c := range map[string]struct {
		options server.Options
		context string
	}{
		"user and password": {server.Options{Username: "ann", Password: "secret"}, `"user":"ann","password":"secret","inbox_prefix":"_INBOX.ann"`},
		"token":             {server.Options{Authorization: "t0ken"}, `"token":"t0ken"`},
		"nkey":              {server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}}, `"nkey":"` + seed + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.Host, c.options.Port = "127.0.0.1", server.RANDOM_PORT
			s, err := server.NewServer(&c.options)
			if err != nil {
				t.Fatal(err)
			}
			s.Start()
			t.Cleanup(s.Shutdown)
			if !s.ReadyForConnections(patience) {
				t.Fatal("the server is not ready")
			}
			contexts(t, map[string]string{"good": `{"url":"` + s.ClientURL() + `",` + c.context + `}`, "nobody": `{"url":"` + s.ClientURL() + `"}`}, "")
			nc, err := (&settings{context: "good"}).dialExternal("operator", zerolog.Nop())("test")
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if strings.Contains(c.context, "inbox_prefix") && !strings.HasPrefix(nc.NewRespInbox(), "_INBOX.ann.") {
				t.Errorf("its inbox is %s", nc.NewRespInbox())
			}
			nobody := settings{context: "nobody"}
			if err := nobody.reach(t.Context(), nobody.dialExternal("operator", zerolog.Nop()), 0, zerolog.Nop()); exitStatus(err) != exitNoServer || !strings.Contains(err.Error(), "credentials") {
				t.Errorf("without a user: %v", err)
			}
		})
	}
}

// nkeyUser makes a user, and returns the file with its seed and its public key.
func nkeyUser(t *testing.T) (file, public string) {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = user.PublicKey(); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, public
}
