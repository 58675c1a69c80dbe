package message

// The headers that simulators put on a message. Times are RFC 3339 in UTC.
const (
	HeaderReason       = "reason"       // why it was dead-lettered, or is to be tried again
	HeaderAttempts     = "attempts"     // handler attempts made before that
	HeaderOrigin       = "origin"       // the concrete channel it was taken from, or the handler
	HeaderFirstFailure = "firstfailure" // when its first attempt failed
	HeaderLastFailure  = "lastfailure"  // when its last attempt failed
	HeaderTrace        = "trace"        // its trace id in hex, for brokers that drop traceparent
	HeaderDue          = "due"          // when its next attempt may begin, in a retry channel
	// HeaderReplyTo is the channel an answer is awaited on, as the topology names it; the message's
	// subject fills it in.
	HeaderReplyTo = "replyto"
)
