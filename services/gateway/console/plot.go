package console

import (
	"math"
	"strconv"
)

// bar is one value of a list of bars. Width is its part of 100.
type bar struct {
	Label, Note, Text string
	Value             float64
	Width             float64
	Href              string
}

// scale makes the longest bar 100 wide.
func scale(bars []bar) []bar {
	most := 0.0
	for _, b := range bars {
		most = max(most, b.Value)
	}
	for i := range bars {
		if most > 0 {
			bars[i].Width = math.Round(max(bars[i].Value, 0)/most*1000) / 10
		}
	}
	return bars
}

// plot is columns over time, in the drawing's own coordinates.
type plot struct {
	Name                      string // of its shape
	Width, Height, Left, Base int
	Columns                   []column
	Lines                     []gridline
}

// column is one day.
type column struct {
	X, W    float64
	Y, H    float64 // of what was booked
	LostY   float64
	LostH   float64 // of what was refunded
	Label   string  // below it; "" where there is no room
	Caption string  // what it says to who points at it
}

// gridline is a value of the axis.
type gridline struct {
	Y    float64
	Text string
}

// point is one day's value, and what of it went back.
type point struct {
	Label, Caption string
	Value, Lost    float64
}

// plots draws points as columns for wide and for narrow screens.
func plots(points []point) [2]plot {
	return [2]plot{columns("broad", 760, points), columns("slim", 340, points)}
}

// columns draws points as columns from zero. The last one has a label, and of the others
// as many as there is room for.
func columns(name string, width int, points []point) plot {
	const height, left, right, top, bottom = 260, 48, 20, 12, 28
	p := plot{Name: name, Width: width, Height: height, Left: left, Base: height - bottom}
	most := 0.0
	for _, pt := range points {
		most = max(most, pt.Value)
	}
	step := nice(most / 4)
	rows := max(1, int(math.Ceil(most/step)))
	full := step * float64(rows)
	high := float64(height - top - bottom)
	for i := range rows + 1 {
		value := step * float64(i)
		p.Lines = append(p.Lines, gridline{Y: round(float64(height-bottom) - value/full*high), Text: strconv.FormatFloat(value, 'f', -1, 64)})
	}
	room := float64(width-left-right) / float64(max(len(points), 1))
	w := min(room*0.7, 56)
	every := int(math.Ceil(56 / room))
	for i, pt := range points {
		h := pt.Value / full * high
		lost := min(pt.Lost, pt.Value) / full * high
		c := column{
			X: round(float64(left) + room*float64(i) + (room-w)/2), W: round(w), Caption: pt.Caption,
			Y: round(float64(height-bottom) - h), H: round(h), LostY: round(float64(height-bottom) - h), LostH: round(lost),
		}
		if (len(points)-1-i)%every == 0 {
			c.Label = pt.Label
		}
		p.Columns = append(p.Columns, c)
	}
	return p
}

// Middle is where a column's label stands.
func (c column) Middle() float64 { return round(c.X + c.W/2) }

func round(f float64) float64 { return math.Round(f*10) / 10 }

// nice is the next of 1, 2 and 5 times a power of ten.
func nice(f float64) float64 {
	if f <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(f)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= f {
			return m * power
		}
	}
	return 10 * power
}
