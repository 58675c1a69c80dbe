// Package container runs brokers and stores as containers, each the product itself.
//
// It serves the run step of load → plan → run → check → report, behind the same interface as the
// engines in this process. It promises that ports are published on 127.0.0.1 alone and stay the same
// over a restart, and that every container is labelled with its run.
package container

import _ "github.com/testcontainers/testcontainers-go"
