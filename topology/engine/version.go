package engine

import "runtime/debug"

// Version is the version of a Go module as it was built into this program, or "unknown" where the
// program was built without that knowledge.
func Version(module string) string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range build.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return "unknown"
}
