package pubsub

import (
	"context"
	"net"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
)

// probe asks for the list of topics through the gate.
func probe(ctx context.Context, g *gate.Gate) error {
	c, err := grpc.NewClient("passthrough:///probe",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return g.Probe(ctx)
		}))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = pb.NewPublisherClient(c).ListTopics(ctx, &pb.ListTopicsRequest{Project: "projects/probe"},
		grpc.WaitForReady(true))
	return err
}
