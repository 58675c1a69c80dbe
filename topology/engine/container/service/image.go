package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/faultline-sim/faultline/topology/engine"
	docker "github.com/faultline-sim/faultline/topology/engine/container"
)

// BuildWithin is how long getting or building one image may take.
const BuildWithin = 15 * time.Minute

// Fetch makes sure that an image is there; say is told when it must be pulled.
func Fetch(ctx context.Context, image string, say func(text string)) error {
	d, err := docker.Open(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Fetch(ctx, image, say)
}

// Build builds the image of a folder with a Dockerfile and yields its name, the same each time. The
// image stays when the run is over: what did not change is not built again.
func Build(ctx context.Context, dir string) (image string, err error) {
	if _, err := os.Stat(filepath.Join(dir, "Dockerfile")); err != nil {
		return "", fmt.Errorf("build image: %w", err)
	}
	d, err := docker.Open(ctx)
	if err != nil {
		return "", err
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(ctx, BuildWithin)
	defer cancel()
	repo, err := repository(dir)
	if err != nil {
		return "", err
	}
	var log bytes.Buffer
	image, err = d.Provider().BuildImage(ctx, &testcontainers.ContainerRequest{
		FromDockerfile: testcontainers.FromDockerfile{
			Context: dir, Repo: repo, Tag: "latest", KeepImage: true, BuildLogWriter: &log,
			BuildOptionsModifier: func(o *client.ImageBuildOptions) {
				o.Version, o.ForceRemove = build.BuilderV1, true
			},
		},
	})
	if err != nil {
		return "", engine.NewProblem(
			fmt.Errorf("build image of %q: %w; its last lines:\n%s", dir, err, tail(log.String())),
			"see whether \"docker build "+dir+"\" works",
		)
	}
	return image, nil
}

// repository names the image of a folder.
func repository(dir string) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("build image: %w", err)
	}
	sum := sha256.Sum256([]byte(full))
	return "faultline/own-" + hex.EncodeToString(sum[:6]), nil
}

// tail is the last lines of a log.
func tail(text string) string {
	const most = 20
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
