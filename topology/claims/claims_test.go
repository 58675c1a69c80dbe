package claims_test

import (
	"testing"

	"github.com/faultline-sim/faultline/topology/claims"
)

func TestEveryBrokerSaysHowAChannelStandsOnIt(t *testing.T) {
	for _, b := range claims.All() {
		switch native := b.DeadLetter != ""; {
		case b.Product == "" || b.Map == "" || b.MaxMessage <= 0 || b.DefaultParts < 1:
			t.Errorf("%s/incomplete/%+v", b.Protocol, b)
		case native != (b.MapDead != ""), !native && b.Instead[claims.NativeDeadLetter] == "":
			t.Errorf("%s/native dead-lettering/it does not say how, or what to do instead", b.Protocol)
		case !b.Parts && b.DefaultParts != 1, !b.Parts && b.Instead[claims.ParallelParts] == "":
			t.Errorf("%s/parts/it does not say what to do instead", b.Protocol)
		case b.TTL == "" && !b.Wildcards && b.Instead[claims.MessageTTL] == "":
			t.Errorf("%s/ttl/it does not say what to do instead", b.Protocol)
		}
	}
	if _, ok := claims.Of("carrier-pigeon"); ok {
		t.Error("carrier-pigeon/known/it is no broker's protocol")
	}
}

func TestAllBrokersHaveTheSameFacts(t *testing.T) {
	all := claims.All()
	for _, b := range all {
		for i, f := range b.Facts() {
			if f.Value == "" || f.Name != all[0].Facts()[i].Name {
				t.Errorf("%s/fact %d/got %+v", b.Protocol, i, f)
			}
		}
	}
}
