package wire

// Namespace is the network of a process on this machine that has one of its own, such as a
// container's. Root may open sockets in it.
type Namespace struct{ PID int }
