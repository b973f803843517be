package program

import (
	"context"
	"os/exec"
	"regexp"
	"sync"
)

var (
	mentioned = regexp.MustCompile(`\[\$(ORDERFLOW_[A-Z_]+)\]`)
	helped    sync.Map // orderflow and its command to variables
)

// Variables are those that a command of orderflow, a file, says in its help that it reads; none of what is no command.
func Variables(orderflow, command string) []string {
	type asked struct{ orderflow, command string }
	if known, ok := helped.Load(asked{orderflow, command}); ok {
		return known.([]string)
	}
	out, err := exec.CommandContext(context.Background(), orderflow, command, "--help").Output()
	var known []string
	if err == nil {
		for _, found := range mentioned.FindAllStringSubmatch(string(out), -1) {
			known = append(known, found[1])
		}
	}
	helped.Store(asked{orderflow, command}, known)
	return known
}
