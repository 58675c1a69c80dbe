package auth_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/faultline-sim/faultline/simulators/auth"
)

var key = []byte("0123456789abcdef0123456789abcdef")

func TestVerify(t *testing.T) {
	authority, err := auth.New(key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := auth.New([]byte("another key of a good length, too"))
	if err != nil {
		t.Fatal(err)
	}
	claims := func(until time.Duration) jwt.RegisteredClaims {
		return jwt.RegisteredClaims{
			Subject: "hw-1", ExpiresAt: jwt.NewNumericDate(time.Now().Add(until)),
		}
	}
	sign := func(m jwt.SigningMethod, key any, c jwt.Claims) string {
		token, err := jwt.NewWithClaims(m, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	issued := func(a *auth.Authority) string {
		token, err := a.Issue("auth", "hw-1")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := issued(authority)
	cases := map[string]struct{ token, want string }{
		"token/issued/accepted":         {good, ""},
		"token/nothing/refused":         {"", "malformed"},
		"token/no token/refused":        {"let me in", "malformed"},
		"token/other key/refused":       {issued(other), "bad signature"},
		"token/one byte longer/refused": {good + "A", "bad signature"},
		"token/expired/refused":         {sign(jwt.SigningMethodHS256, key, claims(-time.Second)), "expired"},
		"token/no expiry/refused": {
			sign(jwt.SigningMethodHS256, key, jwt.RegisteredClaims{Subject: "hw-1"}), "no expiry",
		},
		"token/alg none/refused": {
			sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(time.Hour)), "bad signature",
		},
		"token/other algorithm/refused": {
			sign(jwt.SigningMethodHS512, key, claims(time.Hour)), "bad signature",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := authority.Verify(c.token)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("verify = %v, want it accepted", err)
			case c.want != "" && (!errors.Is(err, auth.ErrRefused) || !strings.HasSuffix(err.Error(), c.want)):
				t.Errorf("verify = %v, want it refused as %q", err, c.want)
			}
			if err != nil && len(c.token) > 12 && strings.Contains(err.Error(), c.token[:12]) {
				t.Errorf("the error repeats the token")
			}
		})
	}
}

func TestCheckUser(t *testing.T) {
	authority, err := auth.New(key)
	if err != nil {
		t.Fatal(err)
	}
	token, err := authority.Issue("auth", "hw-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.CheckUser("hw-1", token); err != nil {
		t.Errorf("own token: %v, want it accepted", err)
	}
	if err := authority.CheckUser("hw-2", token); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("another's token: %v, want it refused", err)
	}
}

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, err := auth.New(key)
		if err != nil {
			t.Fatal(err)
		}
		token, err := authority.Issue("auth", "hw-1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(auth.Life - time.Second)
		if err := authority.Verify(token); err != nil {
			t.Errorf("before its end: %v, want it accepted", err)
		}
		time.Sleep(2 * time.Second)
		if err := authority.Verify(token); !errors.Is(err, auth.ErrRefused) {
			t.Errorf("after its end: %v, want it refused", err)
		}
	})
}

func TestShortKey(t *testing.T) {
	if _, err := auth.New([]byte("short")); err == nil {
		t.Error("a short key makes an authority")
	}
}
