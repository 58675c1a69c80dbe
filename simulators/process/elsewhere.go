package process

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// Elsewhere is a node that runs somewhere else and is only called: what comes over the node's wires
// is carried on to its endpoint. It is never started, and cannot be stopped, paused or scaled.
type Elsewhere struct {
	env      *simulators.Env
	node     *topology.Node
	port     *relay.Port
	listener net.Listener
	server   *http.Server
	served   chan struct{} // closed when the server has ended
}

var _ simulators.OwnCode = (*Elsewhere)(nil)

// NewElsewhere makes a node whose Own has an Endpoint. Nothing listens yet.
func NewElsewhere(env *simulators.Env, n *topology.Node) *Elsewhere {
	return &Elsewhere{env: env, node: n, port: relay.NewPort(env.Fabric, n.Name, 0)}
}

// Name is the node's full name.
func (e *Elsewhere) Name() string { return e.node.Name }

// RunsOwnCode says that nothing is seen of what the node does.
func (e *Elsewhere) RunsOwnCode() {}

// Start returns when the endpoint takes connections and callers can reach it.
func (e *Elsewhere) Start(ctx context.Context) error {
	e.state(history.StateCode)
	dial, err := e.dialer()
	if err != nil {
		return err
	}
	c, err := dial(ctx)
	if err != nil {
		return fmt.Errorf("reach endpoint: %w; is it up, and may this machine reach it", err)
	}
	if err := c.Close(); err != nil {
		return fmt.Errorf("reach endpoint: %w", err)
	}
	if e.node.Own.Endpoint.Scheme == "" {
		if _, err := e.port.InTo(dial); err != nil {
			return err
		}
		e.state("ready")
		return nil
	}
	if err := e.serve(dial); err != nil {
		return err
	}
	e.state("ready")
	return nil
}

// dialer reaches the endpoint, encrypted where that is declared.
func (e *Elsewhere) dialer() (func(context.Context) (net.Conn, error), error) {
	at := e.node.Own.Endpoint
	if !at.TLS {
		return func(ctx context.Context) (net.Conn, error) {
			return wire.DialBeyond(ctx, at.Address)
		}, nil
	}
	host, _, err := net.SplitHostPort(at.Address)
	if err != nil {
		return nil, fmt.Errorf("read endpoint: %w", err)
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if at.CA != "" {
		if config.RootCAs, err = authorities(at.CA); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) (net.Conn, error) {
		c, err := wire.DialBeyond(ctx, at.Address)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("encrypt connection to %s: %w", at.Address, err), c.Close())
		}
		return secure, nil
	}, nil
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read authorities of endpoint: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read authorities of endpoint: %q holds no PEM certificate", file)
	}
	return pool, nil
}

// serve listens as the node and passes each request on with the endpoint's own host, path and
// credentials. A request that cannot be passed on ends its connection, as it would without us.
func (e *Elsewhere) serve(dial func(context.Context) (net.Conn, error)) error {
	authorization, err := e.authorization()
	if err != nil {
		return err
	}
	listener, err := e.env.Fabric.Listen(e.node.Name, 0)
	if err != nil {
		return err
	}
	at := e.node.Own.Endpoint
	target := &url.URL{Scheme: "http", Host: at.Address, Path: at.Path}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = at.Address
			if authorization != "" {
				r.Out.Header.Set("Authorization", authorization)
			}
		},
		Transport:    transport,
		ErrorLog:     log.New(io.Discard, "", 0),
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	e.listener, e.served = listener, make(chan struct{})
	e.server = &http.Server{Handler: proxy, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(e.served)
		defer transport.CloseIdleConnections()
		e.server.Serve(listener)
	}()
	return nil
}

// authorization is the header that the endpoint asks for, made from the user's environment.
func (e *Elsewhere) authorization() (string, error) {
	at := e.node.Own.Endpoint
	values := map[string]string{}
	for _, name := range []string{at.User, at.Password, at.Token} {
		if name == "" {
			continue
		}
		value, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("find credentials of endpoint: the environment has no variable %s, "+
				"set it before the run", name)
		}
		values[name] = value
	}
	switch {
	case at.Token != "":
		return "Bearer " + values[at.Token], nil
	case at.User != "":
		pair := values[at.User] + ":" + values[at.Password]
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)), nil
	}
	return "", nil
}

// Inject is not possible: it is not ours.
func (e *Elsewhere) Inject(b simulators.Behavior) (simulators.Injection, error) {
	return nil, fmt.Errorf("inject %q: %q runs elsewhere", b.Kind, e.node.Name)
}

// Close ends all connections and returns when nothing is left.
func (e *Elsewhere) Close() error {
	err := e.port.Close()
	if e.server == nil {
		return err
	}
	err = errors.Join(err, e.server.Close())
	<-e.served
	return err
}

func (e *Elsewhere) state(reason string) {
	ev := history.New(history.NodeState, e.env.Recorder.Now())
	ev.Node, ev.Reason = e.node.Name, reason
	e.env.Recorder.Record(&ev)
}
