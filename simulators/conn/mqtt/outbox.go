package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

// letter is one publish on its way.
type letter struct {
	topic   string
	payload []byte
	posted  chan post // what came of giving it to a link; capacity 1
	link    *link     // the last link it was given to; guarded by the outbox
}

// post is a letter given to a link.
type post struct {
	token paho.Token
	link  *link
}

// outbox keeps letters in the order of their Publish calls until these return, and gives them to
// links in that order. The zero value is ready.
type outbox struct {
	mu      sync.Mutex
	letters []*letter
}

// send puts a letter in and returns when it is acknowledged, or ctx ends, or nothing can come of
// it any more.
func (o *outbox) send(ctx context.Context, c *Client, l *letter) error {
	l.posted = make(chan post, 1)
	o.add(c, l)
	defer o.remove(l)
	posted := false
	for {
		select {
		case p := <-l.posted:
			posted = true
			if c.await(ctx, p) {
				return nil
			}
			if err := c.hopeless(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return unanswered(posted, ctx.Err())
		case <-c.life.Done():
			return unanswered(posted, life.ErrClosed)
		}
	}
}

// await says whether the broker acknowledges before the link is lost or ctx ends.
func (c *Client) await(ctx context.Context, p post) bool {
	select {
	case <-p.token.Done():
	case <-p.link.lost:
	case <-ctx.Done():
	case <-c.life.Done():
	}
	select {
	case <-p.token.Done():
		return p.token.Error() == nil
	default:
		return false
	}
}

// hopeless is the error of a letter that was cut on its way and will not be sent again.
func (c *Client) hopeless(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return unanswered(true, ctx.Err())
	case c.life.Err() != nil:
		return unanswered(true, life.ErrClosed)
	case c.cfg.Session.Clean:
		return unanswered(true, errors.New("connection lost"))
	}
	return nil
}

// unanswered marks an error as unknown when the message may have reached the broker.
func unanswered(posted bool, err error) error {
	if posted {
		return fmt.Errorf("%w: %w", conn.ErrUnknown, err)
	}
	return err
}

func (o *outbox) add(c *Client, l *letter) {
	o.mu.Lock()
	o.letters = append(o.letters, l)
	o.mu.Unlock()
	if link := c.current(); link != nil {
		o.flush(c, link)
	}
}

func (o *outbox) remove(l *letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.letters, l); i >= 0 {
		o.letters = slices.Delete(o.letters, i, i+1)
	}
}

// flush posts every letter that the link has not been given yet, in a goroutine that ends with
// the last one. Each link has one at a time.
func (o *outbox) flush(c *Client, link *link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if link.posting || o.unposted(link) == nil {
		return
	}
	link.posting = true
	c.life.Go(func() { o.post(link) })
}

func (o *outbox) post(link *link) {
	for {
		l := o.next(link)
		if l == nil {
			return
		}
		token := link.paho.Publish(l.topic, 1, false, l.payload)
		if err := refused(token); err != nil {
			if errors.Is(err, paho.ErrNotConnected) {
				link.lose()
			}
			o.takeBack(l, link)
			continue
		}
		o.posted(l, post{token: token, link: link})
	}
}

// refused is the error of a token that paho has given up at once: nothing was written.
func refused(token paho.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	default:
		return nil
	}
}

// takeBack makes a letter one that the link has not been given.
func (o *outbox) takeBack(l *letter, link *link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.link == link {
		l.link = nil
	}
}

// posted tells a letter's sender, unless a later link has been given the letter meanwhile.
func (o *outbox) posted(l *letter, p post) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.link != p.link {
		return
	}
	select { // what an earlier link was given is of no interest any more
	case <-l.posted:
	default:
	}
	l.posted <- p
}

// next takes the first letter that the link has not been given; with none, posting is over.
func (o *outbox) next(link *link) *letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.unposted(link)
	if l == nil || link.isLost() {
		link.posting = false
		return nil
	}
	l.link = link
	return l
}

func (o *outbox) unposted(link *link) *letter {
	for _, l := range o.letters {
		if l.link != link {
			return l
		}
	}
	return nil
}

// current is the link that is up, or nil.
func (c *Client) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}
