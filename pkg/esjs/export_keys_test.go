package esjs

import "time"

// SetKeyLife changes for how long a store uses a key without asking the leader.
func SetKeyLife(s *Store, d time.Duration) { s.keys.life = d }

// StopKeyWatch makes a store deaf for erasures by others.
func StopKeyWatch(s *Store) {
	s.keys.close()
	s.keys.wait()
}

// KeysInMemory returns how many persons' keys the store holds.
func KeysInMemory(s *Store) (n int) {
	for _, c := range s.keys.cache.Values() {
		if c.key != nil {
			n++
		}
	}
	return n
}
