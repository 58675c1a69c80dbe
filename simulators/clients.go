package simulators

import "github.com/faultline-sim/faultline/simulators/conn"

// Clients makes the client of a broker or store that speaks a protocol. The real one knows every
// protocol that has a folder under conn; tests give an in-memory one.
type Clients interface {
	Broker(protocol string, c conn.Config) (conn.Broker, error)
	Store(protocol string, c conn.Config) (conn.Store, error)
}
