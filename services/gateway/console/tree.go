package console

import (
	"time"

	"github.com/b144f99b/orderflow/pkg/queries"
)

// tree is the drawing of what caused what: a row for each event, each cause above
// its effects and joined with them.
type tree struct {
	Width, Height int
	Leaves        []leaf
	Joins         []join
	Truncated     bool
}

// leaf is one event at its place.
type leaf struct {
	queries.TreeEvent
	X, Y  int
	Since time.Duration // the first event of the tree
	Here  bool          // it is the one whose page this is
}

// join is the line from a cause at X, Y down and to its effect at X2, Y2.
type join struct{ X, Y, X2, Y2 int }

const (
	treeRow    = 30 // height of a row
	treeIndent = 22 // width of a level
	treeText   = 460
)

// drawTree puts the children of each event below it, in the store's order. An only
// or last child stays in its cause's column, so that a long chain stays narrow.
func drawTree(t queries.EventTree, here string) tree {
	d := tree{Truncated: t.Truncated}
	known := make(map[string]bool, len(t.Events))
	for _, e := range t.Events {
		known[e.EventID] = true
	}
	children := map[string][]queries.TreeEvent{}
	for _, e := range t.Events {
		cause := e.CausationID
		if !known[cause] || cause == e.EventID {
			cause = ""
		}
		children[cause] = append(children[cause], e)
	}
	deepest := 0
	var grow func(parent *leaf, of string, depth int)
	grow = func(parent *leaf, of string, depth int) {
		for i, e := range children[of] {
			at := depth
			if parent != nil && i < len(children[of])-1 {
				at++ // the last effect goes on in its cause's column
			}
			l := leaf{TreeEvent: e, X: 14 + at*treeIndent, Y: 16 + len(d.Leaves)*treeRow, Here: e.EventID == here, Since: e.Time.Sub(t.Events[0].Time)}
			d.Leaves = append(d.Leaves, l)
			if parent != nil {
				d.Joins = append(d.Joins, join{parent.X, parent.Y, l.X, l.Y})
			}
			deepest = max(deepest, at)
			grow(&l, e.EventID, at)
		}
	}
	grow(nil, "", 0)
	d.Width, d.Height = 14+deepest*treeIndent+treeText, 16+len(d.Leaves)*treeRow
	return d
}
