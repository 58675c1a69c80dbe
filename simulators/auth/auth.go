// Package auth issues and verifies the tokens of a run: signed JWTs with a short life, made by the
// topology's auth services and asked for by its brokers and services.
//
// It is used in the run step of load → plan → run → check → report. It promises that no token is
// valid that was not signed with the run's key by this algorithm, and that errors never repeat a
// token. It imports nothing of the other simulators.
package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Life is how long an issued token is valid.
const Life = time.Hour

// ErrRefused is what every refused token's error wraps.
var ErrRefused = errors.New("token refused")

// Authority issues and verifies tokens with one key. It is safe for concurrent use.
type Authority struct {
	key    []byte
	parser *jwt.Parser
}

// New is the authority of a run with this key (HMAC-SHA256, at least 16 bytes).
func New(key []byte) (*Authority, error) {
	if len(key) < 16 {
		return nil, fmt.Errorf("make authority: a key of %d bytes, at least 16 are needed", len(key))
	}
	return &Authority{key: key, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
	)}, nil
}

// Issue is a token for a subject, issued by a node, valid for Life.
func (a *Authority) Issue(issuer, subject string) (string, error) {
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer:    issuer,
		Subject:   subject,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(Life)),
	}).SignedString(a.key)
	if err != nil {
		return "", fmt.Errorf("issue token for %q: %w", subject, err)
	}
	return token, nil
}

// Verify says whether a token is good now; the error wraps ErrRefused and says why, without the
// token.
func (a *Authority) Verify(token string) error {
	_, err := a.Subject(token)
	return err
}

// Subject is whom a good token was issued for.
func (a *Authority) Subject(token string) (string, error) {
	var claims jwt.RegisteredClaims
	_, err := a.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
		return a.key, nil
	})
	if err != nil {
		return "", fmt.Errorf("%w: %s", ErrRefused, why(err))
	}
	return claims.Subject, nil
}

// why is a refusal in one word or two; the library's own text may repeat parts of the token.
func why(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "expired"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "bad signature"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "no expiry"
	case errors.Is(err, jwt.ErrTokenMalformed):
		return "malformed"
	default:
		return "not acceptable"
	}
}

// CheckUser is what a broker asks: the password is a good token and was issued for the user. It is
// the shape of engine.Config.Authenticate.
func (a *Authority) CheckUser(user, password string) error {
	subject, err := a.Subject(password)
	if err != nil {
		return err
	}
	if subject != user {
		return fmt.Errorf("%w: issued for another user", ErrRefused)
	}
	return nil
}

// Grant is what an auth service answers to a login (RFC 6749, section 5.1).
type Grant struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
}
