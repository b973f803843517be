package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run executes the command line and returns the exit status. The first signal
// asks to stop cleanly; the second one ends the process at once.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	ctx, release := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer release()
	context.AfterFunc(ctx, release)

	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(errOut, "orderflow: %s\n", plainError(err))
	}
	return exitStatus(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "orderflow",
		Short: "An order system, event-sourced on NATS JetStream",
		Long: `An order system, event-sourced on NATS JetStream.

"orderflow up" runs everything in one process, with an embedded nats-server: no
installation. Every flag can also be set by the environment variable that its
help names; a flag wins over its variable.

` + exitHelp(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addVersionFlag(root)
	root.AddCommand(newUp(), newProvision(), newKeys(), newMonitor(), newHealthcheck(), newVersion())
	for _, s := range services() {
		cmd := newService(s)
		if s.name == "payment" {
			cmd.AddCommand(append(newPaymentLists(), newReconcile())...)
		}
		root.AddCommand(cmd)
	}
	for _, n := range nouns() {
		addNoun(root, n)
	}
	root.AddCommand(newEvents(), newSales(), newCustomers(), newProjections(), newSubscriptions(), newQueue(), newVerify(), newBackup(), newRestore(), newRepartition(), newBench(), newLoad())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w; see %s --help", badValue(err), cmd.CommandPath())
	})
	walk(root, func(cmd *cobra.Command) { bindEnvironment(cmd.LocalNonPersistentFlags()) })
	walk(root, addCompletion)
	addOtherWords(root)
	root.SetUsageTemplate(root.UsageTemplate() + `{{if .HasParent}}
"orderflow --help" lists exit statuses.
{{end}}`)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return readEnvironment(cmd.Flags()) }
	return root
}

// badValue says in words what the library of flags tells in those of Go.
func badValue(err error) error {
	var (
		bad    *pflag.InvalidValueError
		number *strconv.NumError
	)
	if !errors.As(err, &bad) || !errors.As(err, &number) {
		return err
	}
	must := "a whole number"
	switch {
	case number.Func == "ParseBool":
		must = "true or false"
	case errors.Is(number, strconv.ErrRange):
		must = "a smaller number"
	}
	return fmt.Errorf("--%s is %q; it must be %s", bad.GetFlag().Name, bad.GetValue(), must)
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// noArguments refuses arguments in a sentence that says what there is instead.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return usageError("%s takes no arguments, got %q", cmd.CommandPath(), args[0])
	}
	meant := ""
	if names := suggestions(cmd, args[0]); len(names) > 0 {
		meant = fmt.Sprintf(" Did you mean %s?", strings.Join(names, " or "))
	}
	return usageError("%s has no command %q; it has %s.%s", cmd.CommandPath(), args[0], strings.Join(commandNames(cmd), ", "), meant)
}

// commandNames are those of the commands below one.
func commandNames(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// variable is the environment variable of a flag: ORDERFLOW_NATS_URL for --nats-url.
func variable(flag string) string {
	return "ORDERFLOW_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// withoutVariable marks a flag that belongs to one call and has no variable.
func withoutVariable(flags *pflag.FlagSet, name string) {
	_ = flags.SetAnnotation(name, noVariable, nil) // fails only for a flag that does not exist
}

const noVariable = "no variable"

// insteadOf marks two flags of which a command takes one. As a flag wins over
// its variable, it also wins over the variable of the one that it replaces.
func insteadOf(flags *pflag.FlagSet, one, other string) {
	_ = flags.SetAnnotation(one, alternative, []string{other}) // fails only for a flag that does not exist
	_ = flags.SetAnnotation(other, alternative, []string{one})
}

const alternative = "alternative"

func hasVariable(f *pflag.Flag) bool {
	_, without := f.Annotations[noVariable]
	return f.Name != "help" && !without
}

// bindEnvironment names each flag's variable in its help.
func bindEnvironment(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !hasVariable(f) {
			return
		}
		f.Usage += fmt.Sprintf(" [$%s]", variable(f.Name))
	})
}

// readEnvironment sets the flags that were not given from their variables.
func readEnvironment(flags *pflag.FlagSet) (err error) {
	given := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) {
		given[f.Name] = true
		for _, other := range f.Annotations[alternative] {
			given[other] = true
		}
	})
	flags.VisitAll(func(f *pflag.Flag) {
		value := os.Getenv(variable(f.Name))
		if err != nil || given[f.Name] || value == "" || !hasVariable(f) {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = usageError("the environment variable %s is %q: %w", variable(f.Name), value, e)
		}
	})
	return err
}
