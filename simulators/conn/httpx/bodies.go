package httpx

import (
	"io"
	"net/http"
)

// PlainBodies hides how request bodies of Amazon's SDK write themselves. It closes a body when it
// has the answer; its WriteTo then fails, rather than being at its end, and net/http, which has written
// all and looks whether there is more, takes that for a failed request and closes the connection
// under the answer.
type PlainBodies struct{ Next http.RoundTripper }

// RoundTrip sends one request.
func (p PlainBodies) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return p.Next.RoundTrip(req)
	}
	hidden := new(http.Request)
	*hidden = *req
	hidden.Body = struct {
		io.Reader
		io.Closer
	}{req.Body, req.Body}
	return p.Next.RoundTrip(hidden)
}
