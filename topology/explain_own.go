package topology

// ownVocabulary are the keys of a node that is run by a program of the user's own.
func ownVocabulary() []field {
	return []field{
		{"command", orNone(oneOrMore(text("a command line, or a list of words"))),
			"a program of your own that runs in the node's place, one process for each replica; " +
				"$wire(NODE), $listen, $port and $replica are filled in",
			"command: ./worker --listen $listen"},
		{"image", text("the name of a container image, or none"),
			"a container image of your own that runs in the node's place; of a broker or a store: " +
				"the one that its engine runs when it runs in a container",
			"image: registry.example.com/worker:1.4"},
		{"build", text("a folder, or none"),
			"a folder with a Dockerfile, from this file, that is built and run in the node's place",
			"build: ./worker"},
		{"endpoint", orNone(or(text("host:port or a URL"), ref("endpoint", "a mapping with url"))),
			"something that runs elsewhere and takes the node's place; what calls it goes over wires, " +
				"what it calls does not, and it is never started or stopped",
			"endpoint: https://sandbox.example.com"},
		{"dir", text("a folder"),
			"the folder that command runs in, from this file; default this file's own",
			"dir: ../worker"},
		{"env", mapOf(orNothing(text("a text, with $wire(NODE), $env(NAME), $listen, $port, $replica")),
			"names of environment variables with a value each"),
			"what the program's environment has beside its neighbours' addresses; of your own " +
				"environment it gets only what is named, and PATH, HOME, TMPDIR and LANG; values are " +
				"never recorded",
			"env: {BROKERS: $wire(stream), TOKEN: $env(TOKEN)}"},
		{"ready", ref("ready", "how it shows that it is ready"),
			"when a replica counts as ready; default: it takes connections where others call it, and " +
				"has begun to consume what it subscribes to",
			"ready: {http: /health, within: 20s}"},
		{"stop_within", span(),
			"the time from SIGTERM to SIGKILL; default 10s",
			"stop_within: 5s"},
		{"restart", oneOf("never", "always"),
			"whether a program that dies by itself is started again; default never",
			"restart: always"},
		{"declares", orNone(oneOrMore(oneOf(declarable...))),
			"the policies that a program of your own promises, of those that its handlers declare; " +
				"default all",
			"declares: [dead_letter]"},
		{"correlate", orNone(ref("correlate", "a mapping with id")),
			"for a program that does not pass on the CloudEvents attributes it was given: the fields " +
				"of a body by which a message is known before and behind it",
			"correlate: {id: body.order_id, key: body.customer}"},
	}
}

// ownObjects are what stands under ready, endpoint and correlate.
func ownObjects() []object {
	return []object{
		{"ready", "under ready", []field{
			{"http", text("a path"),
				"ready when this path is answered with a status below 400 on LISTEN_ADDR",
				"http: /health"},
			{"tcp", truth(),
				"ready when LISTEN_ADDR takes connections",
				"tcp: true"},
			{"log", text("a text, or a regular expression"),
				"ready when a line of its output has this in it, or is matched by it",
				"log: listening on"},
			{"within", span(),
				"the time it has for that; default 30s",
				"within: 10s"},
		}},
		{"endpoint", "under endpoint", []field{
			{"url", text("host:port or a URL with http, https, tcp or tls"),
				"where it is",
				"url: https://sandbox.example.com/v1"},
			{"tls", truth(),
				"whether connections to it are encrypted; default as the URL says",
				"tls: true"},
			{"ca", text("a file"),
				"a PEM file of the authorities that its certificate is checked against, from this " +
					"file; default the machine's own",
				"ca: sandbox-ca.pem"},
			{"user", text("the name of an environment variable"),
				"the variable that holds the user name of HTTP basic authentication",
				"user: SANDBOX_USER"},
			{"password", text("the name of an environment variable"),
				"the variable that holds the password",
				"password: SANDBOX_PASSWORD"},
			{"token", text("the name of an environment variable"),
				"the variable that holds a bearer token, sent with each request",
				"token: SANDBOX_TOKEN"},
		}},
		{"correlate", "under correlate", []field{
			{"id", text("body.FIELD"),
				"the field whose values are one message's alone, among the flows that pass the program",
				"id: body.order_id"},
			{"key", text("body.FIELD"),
				"the field whose values keep their order; default the key that the message had",
				"key: body.customer"},
		}},
	}
}
