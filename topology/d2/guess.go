package d2

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/faultline-sim/faultline/topology"
)

// guess is what a box seems to be, and what that rests on.
type guess struct {
	node *topology.Node
	why  string // "its name says queue", "its shape is a cylinder", "nothing says otherwise"
	auth bool   // a service that seems to log others in
}

// shapeKinds are the shapes that tell a kind.
func shapeKinds() map[string]topology.Kind {
	return map[string]topology.Kind{
		"cylinder": topology.Store, "stored_data": topology.Store, "sql_table": topology.Store,
		"queue": topology.Broker, "person": topology.Fleet, "cloud": topology.Cloud,
	}
}

// kindWords are words in names that tell a kind. The last word of a name that is known counts, so
// that an app_server is a server.
func kindWords() map[topology.Kind]string {
	return map[topology.Kind]string{
		topology.Store: "store storage datastore database databases db rdb datalake lake warehouse " +
			"datawarehouse dwh postgres postgresql mysql mongo mongodb dynamodb sqlite redis cache s3 " +
			"bucket blob table elasticsearch 저장소 데이터베이스 창고 캐시 디비",
		topology.Broker: "queue queues stream streams mqtt kafka broker messaging rabbitmq amqp mq sqs " +
			"sns kinesis pubsub nats topic topics bus eventbus 큐 브로커 메시징 스트림 토픽",
		topology.Fleet: "hw device devices person people app apps webapp client clients user users " +
			"customer customers mobile browser phone tablet sensor sensors 앱 기기 단말 사용자 고객 센서",
		topology.Cloud: "cloud partner external vendor saas 클라우드 외부",
		topology.Service: "service services server api gateway worker workers engine function lambda " +
			"processor bridge rule rules scheduler controller proxy backend etl job 서비스 서버 게이트웨이 " +
			authWords,
	}
}

// authWords are words in names of services that others log in at.
const authWords = "auth authentication login signin identity idp iam passport oauth oidc sso " +
	"keycloak 인증 로그인"

// guesses tells for each leaf box what node it seems to be.
func (d *Drawing) guesses() []guess {
	words := map[string]topology.Kind{}
	for kind, list := range kindWords() {
		for _, w := range strings.Fields(list) {
			words[w] = kind
		}
	}
	var all []guess
	for _, b := range d.Boxes {
		if !b.Container {
			all = append(all, guessBox(b, words))
		}
	}
	return all
}

func guessBox(b Box, words map[string]topology.Kind) guess {
	g := guess{
		node: &topology.Node{Name: b.Name, Kind: topology.Service},
		why:  "nothing says otherwise",
	}
	segments := topology.SplitName(b.Name)
	named := tokens(segments[len(segments)-1])
	if kind, ok := shapeKinds()[b.Shape]; ok {
		g.node.Kind, g.why = kind, "its shape is "+b.Shape
	} else if word := lastKnown(slices.Concat(tokens(b.Label), named), words); word != "" {
		g.node.Kind, g.why = words[word], fmt.Sprintf("its name says %q", word)
	}
	g.auth = g.node.Kind == topology.Service && lastWord(named, authWords) != ""
	switch g.node.Kind {
	case topology.Broker:
		g.node.Protocol = brokerProtocol(slices.Concat(named, tokens(b.Label)))
	case topology.Store:
		g.node.Protocol = storeProtocol(slices.Concat(named, tokens(b.Label)))
	}
	return g
}

func lastKnown(named []string, words map[string]topology.Kind) string {
	for _, w := range slices.Backward(named) {
		if _, ok := words[w]; ok {
			return w
		}
	}
	return ""
}

func lastWord(named []string, list string) string {
	for _, w := range slices.Backward(named) {
		if slices.Contains(strings.Fields(list), w) {
			return w
		}
	}
	return ""
}

// brokerProtocol is "" when the name does not tell.
func brokerProtocol(named []string) string {
	for _, is := range []struct{ protocol, names string }{
		{"mqtt", "mqtt iot"}, {"amqp", "amqp rabbitmq rabbit"}, {"nats", "nats jetstream"},
		{"kinesis", "kinesis"}, {"sqs", "sqs"}, {"sns", "sns"}, {"pubsub", "pubsub"},
		{"kafka", "kafka stream streams 스트림"},
	} {
		if lastWord(named, is.names) != "" {
			return is.protocol
		}
	}
	return ""
}

func storeProtocol(named []string) string {
	switch {
	case lastWord(named, "datalake lake s3 bucket blob storage object objects") != "":
		return "s3"
	case lastWord(named, "redis cache session sessions 캐시") != "":
		return "redis"
	default:
		return "postgres"
	}
}

// tokens are the words of a name in lower case: "dataLake-2" is data, lake and datalake. Digits end
// a word and belong to none, except in a word such as s3.
func tokens(name string) []string {
	var words []string
	for _, part := range strings.FieldsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		words = append(words, camel(part)...)
		lower := strings.ToLower(part)
		words = append(words, strings.TrimRightFunc(lower, unicode.IsDigit), lower)
	}
	return words
}

// camel cuts "dataLake" into data and lake.
func camel(part string) []string {
	var words []string
	start := 0
	runes := []rune(part)
	for i := 1; i < len(runes); i++ {
		if unicode.IsUpper(runes[i]) && unicode.IsLower(runes[i-1]) {
			words = append(words, strings.ToLower(string(runes[start:i])))
			start = i
		}
	}
	if start == 0 {
		return nil
	}
	return append(words, strings.ToLower(string(runes[start:])))
}
