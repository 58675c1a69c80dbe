// Package scenarios says what will happen to a topology: load, timeline of faults, assertions, and
// the plan that a seed makes of them.
//
// A run of Faultline has five steps, in these words everywhere:
//
//	load → plan → run → check → report
//
// load turns files into a topology and a scenario, or all mistakes with positions; plan fixes every
// time and random choice by the seed; run yields a history; check turns history into verdicts;
// report turns both into text, JSON, JUnit and Markdown. This package is the scenario's half of
// load, and plan. Both are pure: no clock, no network, no goroutine. It may not import simulators,
// reports or the runner.
package scenarios
