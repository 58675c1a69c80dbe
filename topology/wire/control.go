package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// Change is one change that somebody made through Toxiproxy's HTTP API.
type Change struct {
	// Action is "enable", "disable", "redirect", "add toxic", "update toxic", "remove toxic",
	// "create proxy", "delete proxy", "populate" or "reset".
	Action string
	Proxy  string // the proxy's name, "" for populate and reset
	Toxic  string // the toxic's name
	Detail string // the request's body, at most detailLimit bytes
	By     string // the client's address and what it calls itself
}

// detailLimit bounds how much of a request's body a Change repeats.
const detailLimit = 1 << 10

// bodyLimit bounds the body that the API reads.
const bodyLimit = 1 << 20

// observe serves the API and tells of each change that it carried out.
func (f *fabric) observe(tell func(Change)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := f.server
		routes := s.now.Load().routes
		if r.Method == http.MethodGet {
			routes.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		change, known := changeOf(r, body)
		defer f.disturb(change)()
		before := s.state(change.Proxy)
		seen := &watched{ResponseWriter: w, status: http.StatusOK, limit: bodyLimit}
		routes.ServeHTTP(seen, r)
		if !known || seen.status >= 300 {
			return
		}
		change = change.settle(before, s.state(change.Proxy), seen.body.Bytes())
		if change.Action != "" && tell != nil {
			tell(change)
		}
	})
}

// watched remembers what was answered.
type watched struct {
	http.ResponseWriter
	status int
	limit  int
	body   bytes.Buffer
}

func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(b []byte) (int, error) {
	if w.body.Len()+len(b) <= w.limit {
		w.body.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

// changeOf reads from a request what it asks for; an update of a proxy is settled afterwards.
func changeOf(r *http.Request, body []byte) (Change, bool) {
	c := Change{
		Detail: string(body[:min(len(body), detailLimit)]),
		By:     strings.TrimSpace(r.RemoteAddr + " " + r.UserAgent()),
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) > 1 {
		c.Proxy = parts[1]
	}
	if len(parts) > 3 {
		c.Toxic = parts[3]
	}
	deletes := r.Method == http.MethodDelete
	switch {
	case len(parts) == 1 && (parts[0] == "reset" || parts[0] == "populate"):
		c.Action = parts[0]
	case parts[0] != "proxies":
		return c, false
	case len(parts) == 1:
		c.Action = "create proxy"
	case len(parts) == 2 && deletes:
		c.Action = "delete proxy"
	case len(parts) == 2:
		c.Action = "update proxy"
	case len(parts) == 3:
		c.Action = "add toxic"
	case deletes:
		c.Action = "remove toxic"
	default:
		c.Action = "update toxic"
	}
	return c, true
}

// settle completes a change with what came of it. A proxy that was updated to what it was has not
// changed; then Action is "".
func (c Change) settle(before, after state, answer []byte) Change {
	var made struct{ Name string }
	switch c.Action {
	case "create proxy":
		_ = json.Unmarshal(answer, &made) // an answer that is no object names nothing
		c.Proxy = made.Name
	case "add toxic":
		_ = json.Unmarshal(answer, &made)
		c.Toxic = made.Name
	case "update proxy":
		c.Action = after.since(before)
	}
	return c
}

// state is what an update of a proxy may change.
type state struct {
	enabled          bool
	listen, upstream string
}

func (now state) since(before state) string {
	switch {
	case now.enabled && !before.enabled:
		return "enable"
	case !now.enabled && before.enabled:
		return "disable"
	case now != before:
		return "redirect"
	}
	return ""
}

func (s *server) state(name string) state {
	if name == "" {
		return state{}
	}
	p, err := s.now.Load().api.Collection.Get(name)
	if err != nil {
		return state{}
	}
	p.Lock()
	defer p.Unlock()
	return state{p.Enabled, p.Listen, p.Upstream}
}

// disturb takes the turns of the proxies that a change through the API means, all of them where it
// names none. Call what it yields when the change is done: connections in memory then meet what the
// library has done to its own.
func (f *fabric) disturb(c Change) (done func()) {
	var meant []*proxy
	for _, p := range f.proxies() {
		if c.Proxy == "" || p.name == c.Proxy {
			p.turn <- struct{}{}
			meant = append(meant, p)
		}
	}
	return func() {
		for _, p := range meant {
			p.disturbed(c)
			<-p.turn
		}
	}
}

// disturbed makes connections in memory what the library's proxy is after a change. The turn is held.
func (p *proxy) disturbed(c Change) {
	if p.library() == nil {
		return
	}
	p.refit()
	if c.Action == "update toxic" {
		p.again()
	}
	now := p.link.fabric.server.state(p.name)
	p.link.mu.Lock()
	far := p.far
	p.link.mu.Unlock()
	if !now.enabled || now.upstream != far || now.listen != p.addr {
		p.joints.close()
	}
}
