//go:build plots

package plots

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawSteps draws when a subscriber sees each commit of an order of a customer who is alone, from top to bottom.
func drawSteps(o orders) ([]byte, error) {
	p := newPlot("What a subscriber sees of an order of a customer who is alone", "ms after submit was sent, p50", "")
	legend := plot.NewLegend()
	legend.Left, legend.Padding = true, 3
	p.Add(plotter.NewGrid())
	var names []string // of rows, from below
	for i := len(o.Systems[0].Levels[0].Steps) - 1; i >= 0; i-- {
		s := o.Systems[0].Levels[0].Steps[i]
		names = append(names, s.Category+": "+s.Event)
	}
	for i, system := range o.Systems {
		var points plotter.XYs
		for row, name := range names {
			for _, s := range system.Levels[0].Steps {
				if s.Category+": "+s.Event == name {
					points = append(points, plotter.XY{X: s.After.P50, Y: float64(row)})
				}
			}
		}
		drawn, glyphs, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		drawn.Color, glyphs.Color, glyphs.Shape, glyphs.Radius = colours[i], colours[i], draw.CircleGlyph{}, 2.5
		p.Add(drawn, glyphs)
		legend.Add(fmt.Sprintf("R%d, %s", system.Replicas, o.Sync), drawn, glyphs)
	}
	p.NominalY(names...)
	p.X.Min -= (p.X.Max - p.X.Min) / 20 // the first point is not on the names
	return svg(p, legend, 6*vg.Inch)
}
