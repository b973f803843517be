// Package plots draws the plots and the tables of docs/benchmarks.md from what was recorded in docs/benchmarks, and tests
// that the page shows what they give. What it draws with is in a module file of its own, plots.mod, and so all but this file has
// the build tag plots:
//
//	make plots         # draws them; tables that the page lacks are printed
//	make test-plots
package plots
