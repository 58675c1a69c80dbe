package aws

import (
	"io"
	"net/http"
)

// plainBodies hides how the SDK's request bodies write themselves. The SDK closes a body when it
// has the answer; its WriteTo then fails, rather than being at its end, and net/http, which has written
// all and looks whether there is more, takes that for a failed request and closes the connection
// under the answer.
type plainBodies struct{ next http.RoundTripper }

// RoundTrip sends one request.
func (p plainBodies) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return p.next.RoundTrip(req)
	}
	hidden := new(http.Request)
	*hidden = *req
	hidden.Body = struct {
		io.Reader
		io.Closer
	}{req.Body, req.Body}
	return p.next.RoundTrip(hidden)
}
