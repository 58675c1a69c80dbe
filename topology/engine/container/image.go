package container

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
)

// pullWithin is how long getting one image may take.
const pullWithin = 15 * time.Minute

// Fetch makes sure that the image is there, and pulls it where it is not.
func (e *Engine) Fetch(ctx context.Context, say func(text string)) error {
	if err := e.connect(ctx); err != nil {
		return err
	}
	_, err := e.daemon.api.ImageInspect(ctx, e.image)
	if err == nil {
		return nil
	}
	if !errdefs.IsNotFound(err) {
		return fmt.Errorf("look for image %q: %w", e.image, err)
	}
	ctx, cancel := context.WithTimeout(ctx, pullWithin)
	defer cancel()
	say("pulling " + e.image)
	if err := e.daemon.provider.PullImage(ctx, e.image); err != nil {
		return noImage(e.image, err)
	}
	// A pull whose stream tells of a failure ends like any other.
	if _, err := e.daemon.api.ImageInspect(ctx, e.image); err != nil {
		return noImage(e.image, err)
	}
	say("pulled " + e.image)
	return nil
}

func (e *Engine) connect(ctx context.Context) (err error) {
	if e.daemon == nil {
		e.daemon, err = connect(ctx)
	}
	return err
}
