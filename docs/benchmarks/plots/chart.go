//go:build plots

package plots

import (
	"bytes"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is lines over one axis.
type chart struct {
	name    string // of the file, without .svg
	title   string
	x, y    string    // labels, with units
	at      []float64 // ticks of x, which is logarithmic
	linear  bool      // y is, from 0
	lines   []line
	wanted  float64 // a bar that y must keep; 0: none
	wantedY string
}

// line has a colour; what belongs together shares one, and the second is dashed.
type line struct {
	name   string
	colour int
	dashed bool
	points plotter.XYs
}

// colours are told apart also by who does not see red and green (Okabe and Ito).
var colours = []color.RGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {86, 180, 233, 255}, {0, 0, 0, 255}}

const (
	width       = 8.6 * vg.Inch
	height      = 3.6 * vg.Inch
	legendWidth = 2.7 * vg.Inch
	margin      = 8
)

// newPlot is an empty plot on white, so that it is read on a dark page, too.
func newPlot(title, x, y string) *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding, p.X.Padding, p.Y.Padding = 8, 4, 4
	return p
}

func (c chart) draw() ([]byte, error) {
	p := newPlot(c.title, c.x, c.y)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, marks(c.at)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{220}, color.Gray{220}
	p.Add(grid)
	legend := plot.NewLegend()
	legend.Left, legend.Padding = true, 3
	low, high := math.Inf(1), 0.0
	for _, l := range c.lines {
		drawn, points, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return nil, err
		}
		drawn.Color, points.Color = colours[l.colour], colours[l.colour]
		drawn.Width, points.Shape, points.Radius = 1.5, draw.CircleGlyph{}, 2.5
		if l.dashed {
			drawn.Dashes = []vg.Length{5, 3}
			points.Shape = draw.RingGlyph{}
		}
		p.Add(drawn, points)
		legend.Add(l.name, drawn, points)
		for _, xy := range l.points {
			low, high = min(low, xy.Y), max(high, xy.Y)
		}
	}
	p.X.Min, p.X.Max = c.at[0], c.at[len(c.at)-1]
	if c.wanted != 0 {
		bar, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: c.wanted}, {X: p.X.Max, Y: c.wanted}})
		if err != nil {
			return nil, err
		}
		bar.Color, bar.Dashes = color.Black, []vg.Length{1, 2}
		p.Add(bar)
		legend.Add(c.wantedY, bar)
		low, high = min(low, c.wanted), max(high, c.wanted)
	}
	if c.linear {
		p.Y.Min, p.Y.Max = 0, high*1.1
	} else {
		p.Y.Scale = plot.LogScale{}
		p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
		var decades []float64
		for v := p.Y.Min; v <= p.Y.Max*1.001; v *= 10 {
			decades = append(decades, v)
		}
		p.Y.Tick.Marker = marks(decades)
	}
	return svg(p, legend, height)
}

// marks are ticks with numbers that people read: 10, 1 k, 1 M.
func marks(at []float64) plot.ConstantTicks {
	var ticks []plot.Tick
	for _, v := range at {
		ticks = append(ticks, plot.Tick{Value: v, Label: number(v)})
	}
	return ticks
}

func number(v float64) string {
	text := func(v float64, unit string) string { return strconv.FormatFloat(v, 'f', -1, 64) + unit }
	switch {
	case v >= 1e6:
		return text(math.Round(v/1e4)/100, " M")
	case v >= 1e3:
		return text(math.Round(v/10)/100, " k")
	}
	return text(math.Round(v*1000)/1000, "")
}

// svg is the picture, with the legend on the right of the plot, where no line runs through it. Its letters are as wide
// as those of Liberation Sans; where there are none, Arial's are.
func svg(p *plot.Plot, legend plot.Legend, height vg.Length) ([]byte, error) {
	canvas := vgsvg.New(width, height)
	all := draw.New(canvas)
	canvas.Push()
	canvas.SetColor(color.White)
	canvas.Fill(all.Rectangle.Path())
	canvas.Pop()
	p.Draw(draw.Crop(all, margin, -legendWidth, margin, -margin))
	legend.Top, legend.YOffs = true, -30
	legend.Draw(draw.Crop(all, width-legendWidth, -4, 0, -margin))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif")), nil
}
