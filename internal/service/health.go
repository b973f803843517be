package service

// Health collects what keeps a service from being ready. Safe for concurrent use.
type Health struct{}

// NewHealth returns a Health that is ready.
func NewHealth() *Health { return &Health{} }

// Await declares that name must become ready: it is not until Set(name, nil).
func (h *Health) Await(name string) {}

// Set says that name is ready (nil) or why it is not.
func (h *Health) Set(name string, err error) {}

// Err returns nil when everything is ready, or what is not, by name.
func (h *Health) Err() error { return nil }
