package main

import (
	"net"

	"github.com/b144f99b/orderflow/services/gateway/signin"
	"github.com/spf13/pflag"
)

func (s *settings) addSignIn(f *pflag.FlagSet) {
	f.StringVar(&s.signIn.Issuer, "jwt-issuer", "", "`ISSUER` of the tokens that callers of the HTTP API sign in with; without it everybody who reaches it is an operator")
	f.StringVar(&s.signIn.Audience, "jwt-audience", "", "`AUDIENCE` that a token must be for")
	f.StringVar(&s.signIn.Keys, "jwt-keys", "", "`URL|FILE` with the issuer's JWK set; http only on loopback")
	f.BoolVar(&s.withoutSignIn, "http-without-sign-in", false, "serve the HTTP API without --jwt-issuer on an address that others than this machine can reach")
}

// checkSignIn refuses half a sign-in, and an API that everybody could use as an
// operator: without an issuer it answers on a loopback address only, unless
// somebody says that he knows what he does.
func (s *settings) checkSignIn(at net.Addr) error {
	if err := s.signIn.Check(); err != nil {
		return usageError("%w: --jwt-issuer, --jwt-audience and --jwt-keys", err)
	}
	tcp, ok := at.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() || s.signIn != (signin.Config{}) || s.withoutSignIn {
		return nil
	}
	return usageError("--http is %s, which others than this machine can reach, and nobody has to sign in; give --jwt-issuer, a loopback address, or --http-without-sign-in", at)
}
