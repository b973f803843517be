package esjstest

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// described are the sentences of the documentation that have no clause: they
// say how something is used, what it costs, where more is said, or which errors
// the other sentences are about.
var described = map[string][]string{
	"Store": {"Store is the event store"},
	"Store.Append": {
		"It tries until the outcome is known or ctx ends",                                                      // and the next four sentences say how
		"ErrRefused is what else the server refuses before it stores, and what the connection may not publish", // TestWhatIsNotPermittedIsRefused
		"A personal value of an erased person is refused with an *ErasedError; " + // TestAnErasedPersonIsErasedEverywhere
			"where the person's key cannot be used the error is ErrMasterKey, ErrNoKey or ErrBrokenSeal",
	},
	"Store.AppendWrite": {"It is otherwise like Store.Append"},
	"Write": {
		"Write is one commit to be stored, or a guard made by Unchanged",
		"A command id belongs to one write: event ids are made from it",
	},
	"Store.AppendAll": {
		"In a store of several partitions all the aggregates, those of guards too, must be in one of them, as those with the same key are; " +
			"others are refused with ErrInvalid before anything is written, and the error says which key is where", // TestWhatChangesTogetherHasOneKey
		"See Partition",
		"With Unchanged among the writes, all are stored only while the aggregates that it names are unchanged",
		"Errors are those of Store.Append",
	},
	"Unchanged": {
		"This is how a rule over several aggregates is kept: write to some, guard the others",
		"It makes the append an atomic batch with one message more, and one subject more in the store for ever",
		"It needs the right to publish to the subjects of the category \"guard\"",
	},
	"Store.ReadAsOf": {"It is otherwise like Store.Read"},
	"Store.ReadAll": {
		// These two by the clauses on a store of three partitions.
		"Of several partitions each is read in its order, and of their next events the one with the earliest time comes first: " +
			"that is an order for people, because times of different servers do not tell what was before what",
		"After and Until hold in each partition that they name; of one that After does not name all is selected, and of one that Until does not name nothing",
		"Nothing is left out: the commits' sequences are checked to have no gap", // TestDamageIsNamed
		"Where one category or stream is selected the server selects, and the chain of each aggregate's commits is checked: " +
			"then what a damaged replica hides of the end of an aggregate is noticed at the end, and not while commits keep coming", // TestDamageIsNamed
	},
	"Store.Last": {"Of several partitions it is the place behind the last commit of each"}, // by the clause on a store of three partitions
	"Store.Streams": {
		"The leader lists what it has in memory, 100,000 aggregates at a time, and passes over all of the category for each such list: " +
			"on two cores that took 2 ms for 1,000 aggregates, 0.15 s for 100,000 and 14 s for a million",
	},
	"CommandHandler.Load": {
		"Errors: ErrNotFound for a version that is not there, *CorruptError, *DecodeError, and what the connection says",
	},
	"CommandHandler.Handle": {"Other errors are those of Store.Append, *CorruptError and *DecodeError"},
	"Provision": {
		"Everything else that differs is refused as well, because changing it under stored events could lose them", // TestAStreamThatIsNotFitIsRefused
		"So is another number of partitions than a store of that name has",                                         // TestTheNumberOfPartitionsIsFixed
		"The streams of several partitions are led by different servers after it, as far as the servers follow",
		"It needs the right to create streams, which services do not need",
	},
}

// Whoever reads the documentation reads what is proven, and nothing is
// promised there that is not.
func TestTheDocumentationIsTheContract(t *testing.T) {
	docs := documentation(t)
	for _, c := range storeContract() {
		said := sentences(docs[c.of])
		if len(said) == 0 {
			t.Errorf("%s has no documentation", c.of)
		}
		proven := described[c.of]
		for _, clause := range c.clauses {
			if !slices.ContainsFunc(said, func(sentence string) bool { return covers(clause.sentence, sentence) }) {
				t.Errorf("the documentation of %s does not say: %s", c.of, clause.sentence)
			}
			proven = append(proven, clause.sentence)
		}
		for _, sentence := range said {
			if !slices.ContainsFunc(proven, func(p string) bool { return covers(p, sentence) }) {
				t.Errorf("no clause proves what %s says: %s", c.of, sentence)
			}
		}
	}
}

// covers tells that a clause is the sentence, or a part of it up to its end or to a stop inside.
func covers(clause, sentence string) bool {
	return strings.Contains(sentence+".", clause+".") || strings.HasPrefix(sentence, clause+",") || strings.HasPrefix(sentence, clause+";")
}

// documentation returns the text of each exported type, function and method of esjs.
func documentation(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(files, name, source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	p, err := doc.NewFromFiles(files, parsed, "esjs")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range p.Funcs {
		texts[f.Name] = f.Doc
	}
	for _, kind := range p.Types {
		texts[kind.Name] = kind.Doc
		for _, f := range kind.Funcs {
			texts[f.Name] = f.Doc
		}
		for _, m := range kind.Methods {
			texts[kind.Name+"."+m.Name] = m.Doc
		}
	}
	return texts
}

var (
	brackets = strings.NewReplacer("[", "", "]", "")
	stop     = regexp.MustCompile(`\.\s+`)
)

// sentences cuts a text at its full stops.
func sentences(text string) (all []string) {
	plain := strings.Join(strings.Fields(brackets.Replace(text)), " ")
	for _, sentence := range stop.Split(plain+" ", -1) {
		if sentence != "" {
			all = append(all, sentence)
		}
	}
	return all
}
