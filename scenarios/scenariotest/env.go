package scenariotest

// Env is the environment of a Process.
type Env map[string]string
