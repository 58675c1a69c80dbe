//go:build !containers

package conformance

// engines are those that the clients are tested against.
const engines = "embedded"
