package esjstest

// appendFaults are the ways in which an append can fail although it can be stored.
func appendFaults(f *Faults) map[string]func() {
	return map[string]func(){
		"the answer is lost":     func() { f.LoseAcks(1) },
		"the request is lost":    func() { f.LoseAppends(1) },
		"a refusal is false":     func() { f.RefuseAppends(1) },
		"every kind":             func() { f.LoseAppends(2); f.RefuseAppends(2); f.LoseAcks(1) },
		"the connection is lost": func() { f.BeforeAppend(f.Disconnect) },
	}
}
