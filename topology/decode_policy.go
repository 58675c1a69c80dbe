package topology

import (
	"regexp"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// policies reads the policies that have a name.
func (d *decoder) policies(v yamlpos.Value) {
	for _, e := range v.Entries() {
		name, value := d.nameKey(e, mapHas(d.t.Policies))
		if d.t.Policies == nil {
			d.t.Policies = map[string]policy.Set{}
		}
		set := clonePolicies(d.t.Policies[name])
		d.usePolicies(&set, value)
		d.fields(value, d.policyFields(&set))
		d.t.Policies[name] = set
	}
}

func mapHas[V any](m map[string]V) func(string) bool {
	return func(key string) bool { _, ok := m[key]; return ok }
}

// usePolicies puts the named policies that v uses over set; v's own fields are read after.
func (d *decoder) usePolicies(set *policy.Set, v yamlpos.Value) {
	used := v.Get("use")
	if !used.Present() {
		return
	}
	names := []yamlpos.Value{used}
	if used.IsList() {
		names = used.Items()
	}
	for _, name := range names {
		named, ok := d.t.Policies[name.String()]
		if !ok {
			known := make([]string, 0, len(d.t.Policies))
			for k := range d.t.Policies {
				known = append(known, k)
			}
			name.Errorf("unknown-policy", "policy %q is not declared, %s",
				name.Text(), diag.Expected(name.Text(), known))
			continue
		}
		*set = overPolicies(*set, clonePolicies(named))
	}
}

// policyFields read each policy into set; a policy's own fields are laid over those it has.
func (d *decoder) policyFields(set *policy.Set) map[string]func(yamlpos.Value) {
	return map[string]func(yamlpos.Value){
		"use":         func(yamlpos.Value) {}, // read before, by usePolicies
		"timeout":     func(v yamlpos.Value) { set.Timeout = d.span(v) },
		"ttl":         func(v yamlpos.Value) { set.TTL = d.span(v) },
		"retry":       func(v yamlpos.Value) { laid(&set.Retry, v, d.retry) },
		"breaker":     func(v yamlpos.Value) { laid(&set.Breaker, v, d.breaker) },
		"bulkhead":    func(v yamlpos.Value) { laid(&set.Bulkhead, v, d.bulkhead) },
		"fallback":    func(v yamlpos.Value) { laid(&set.Fallback, v, d.fallback) },
		"dedupe":      func(v yamlpos.Value) { laid(&set.Dedupe, v, d.dedupe) },
		"dead_letter": func(v yamlpos.Value) { laid(&set.DeadLetter, v, d.deadLetter) },
		"rate_limit":  func(v yamlpos.Value) { set.RateLimit = d.rateLimit(v) },
	}
}

// laid reads v over a copy of what is there; "none" takes it away.
func laid[P any](into **P, v yamlpos.Value, read func(*P, yamlpos.Value)) {
	if isNone(v) {
		*into = nil
		return
	}
	p := new(P)
	if *into != nil {
		*p = **into
	}
	read(p, v)
	*into = p
}

// span is a duration above nothing, or "none".
func (d *decoder) span(v yamlpos.Value) time.Duration {
	if isNone(v) {
		return 0
	}
	return v.Positive()
}

func (d *decoder) retry(r *policy.Retry, v yamlpos.Value) {
	if v.IsScalar() && !v.Null() {
		r.Attempts = v.Int(1, maxAttempts)
		return
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"attempts":  func(v yamlpos.Value) { r.Attempts = v.Int(1, maxAttempts) },
		"backoff":   func(v yamlpos.Value) { d.backoff(&r.Backoff, v) },
		"permanent": func(v yamlpos.Value) { r.Permanent = d.reasons(v) },
		"channel":   func(v yamlpos.Value) { r.Channel = d.channelOrNone(v) },
	})
	if r.Attempts == 0 && v.Get("attempts").Text() == "" {
		v.Errorf("missing-key", "a retry needs attempts, the first one counted")
	}
}

var status = regexp.MustCompile(`^([1-5]xx|[1-5][0-9][0-9])$`)

// reasons are the words of errors that are never tried again.
func (d *decoder) reasons(v yamlpos.Value) []string {
	if isNone(v) {
		return nil
	}
	items := []yamlpos.Value{v}
	if !v.IsScalar() {
		items = v.Items()
	}
	var words []string
	for _, item := range items {
		word := item.String()
		if word != "" && word[0] >= '0' && word[0] <= '9' && !status.MatchString(word) {
			item.Errorf("unknown-value", "%q is no status, accepted: 4xx, 5xx, three digits, "+
				"schema, auth or a reason's own word", word)
			continue
		}
		words = append(words, word)
	}
	return words
}

// backoff is a mapping, one duration for a constant pause, or "none".
func (d *decoder) backoff(b *policy.Backoff, v yamlpos.Value) {
	switch {
	case isNone(v):
		*b = policy.Backoff{}
		return
	case v.IsScalar() && !v.Null():
		*b = policy.Backoff{Initial: v.Duration(), Factor: 1}
		return
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"initial": func(v yamlpos.Value) { b.Initial = v.Duration() },
		"factor":  func(v yamlpos.Value) { b.Factor = v.Float(1, 100) },
		"max":     func(v yamlpos.Value) { b.Max = v.Duration() },
		"jitter":  func(v yamlpos.Value) { b.Jitter = v.Share() },
	})
	if b.Max > 0 && b.Initial > b.Max {
		v.Errorf("out-of-range", "the first pause %v is longer than the longest %v", b.Initial, b.Max)
	}
}

func (d *decoder) breaker(b *policy.Breaker, v yamlpos.Value) {
	if b.WhenOpen == "" {
		b.WhenOpen = DefaultWhenOpen
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"failures":  func(v yamlpos.Value) { b.Failures = v.Int(1, maxCount) },
		"within":    func(v yamlpos.Value) { b.Within = v.Duration() },
		"open":      func(v yamlpos.Value) { b.Open = v.Duration() },
		"when_open": func(v yamlpos.Value) { b.WhenOpen = v.OneOf("fail", "pause") },
	})
	d.needs(v, "a breaker", b.Failures > 0, "failures")
	d.needs(v, "a breaker", b.Within > 0, "within")
	d.needs(v, "a breaker", b.Open > 0, "open")
}

// needs reports a key that is neither there nor given before.
func (d *decoder) needs(v yamlpos.Value, what string, there bool, key string) {
	if v.IsMap() && !there && !v.Get(key).Present() {
		v.Errorf("missing-key", "%s needs %q", what, key)
	}
}

func (d *decoder) bulkhead(b *policy.Bulkhead, v yamlpos.Value) {
	if v.IsScalar() && !v.Null() {
		b.Concurrent = v.Int(1, maxCount)
		return
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"concurrent": func(v yamlpos.Value) { b.Concurrent = v.Int(1, maxCount) },
		"waiting":    func(v yamlpos.Value) { b.Waiting = v.Int(0, maxCount) },
	})
	d.needs(v, "a bulkhead", b.Concurrent > 0, "concurrent")
}

func (d *decoder) fallback(f *policy.Fallback, v yamlpos.Value) { f.Value = v.String() }

func (d *decoder) dedupe(p *policy.Dedupe, v yamlpos.Value) {
	if v.IsScalar() && !v.Null() {
		p.Window = v.Duration()
		return
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"window": func(v yamlpos.Value) { p.Window = v.Duration() },
		"in":     func(v yamlpos.Value) { p.In = d.nodeRef(v, v.String(), Store) },
	})
	d.needs(v, "dedupe", p.Window > 0, "window")
}

// deadLetter is a mapping, or as built "dropped".
func (d *decoder) deadLetter(p *policy.DeadLetter, v yamlpos.Value) {
	if p.Attempts == 0 {
		p.Attempts = DefaultDeadLetterAttempts
	}
	if v.IsScalar() && !v.Null() {
		word := v.OneOf("dropped", "none")
		p.Dropped = word == "dropped"
		if p.Dropped && !d.asBuilt {
			v.Errorf("as-built-only", "\"dropped\" is for as_built, a promise dead-letters or does not")
		}
		return
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"attempts": func(v yamlpos.Value) { p.Attempts = v.Int(1, maxAttempts) },
		"channel":  func(v yamlpos.Value) { p.Channel = d.channelRef(v, v.String()) },
		"native":   func(v yamlpos.Value) { p.Native = v.Bool() },
	})
}

// overPolicies is base with every policy that over declares.
func overPolicies(base, over policy.Set) policy.Set {
	pick(&base.Timeout, over.Timeout)
	pick(&base.TTL, over.TTL)
	pick(&base.Retry, over.Retry)
	pick(&base.Breaker, over.Breaker)
	pick(&base.Bulkhead, over.Bulkhead)
	pick(&base.RateLimit, over.RateLimit)
	pick(&base.Fallback, over.Fallback)
	pick(&base.Dedupe, over.Dedupe)
	pick(&base.DeadLetter, over.DeadLetter)
	return base
}

func pick[T comparable](into *T, v T) {
	var none T
	if v != none {
		*into = v
	}
}

// clonePolicies is a copy that shares nothing with p.
func clonePolicies(p policy.Set) policy.Set {
	p.Retry = clonePtr(p.Retry)
	if p.Retry != nil {
		p.Retry.Permanent = slices.Clone(p.Retry.Permanent)
	}
	p.Breaker, p.Bulkhead = clonePtr(p.Breaker), clonePtr(p.Bulkhead)
	p.RateLimit, p.Fallback = clonePtr(p.RateLimit), clonePtr(p.Fallback)
	p.Dedupe, p.DeadLetter = clonePtr(p.Dedupe), clonePtr(p.DeadLetter)
	return p
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
