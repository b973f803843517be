// Package browser tests the console in headless Chromium: the whole program as a
// process of its own, and a person in front of it. Its tests have the build tag
// "browser", because they need more than Go: make test-browser.
package browser
