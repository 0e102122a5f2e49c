package transporthttp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

const (
	formField  = "form_token" // the query parameter
	formHours  = 24           // that a token is good for, the hour in which it was made included
	formTokens = 4096         // kept at once, of as many objects
)

// forms makes and knows the tokens that let pages of an object send it forms. A
// token is the hour in which it was made and an HMAC of that hour and the
// object's id, in base64url. Its key ends with the process.
type forms struct {
	key  [32]byte
	now  func() time.Time
	made atomic.Pointer[hourOfTokens]
}

// hourOfTokens are the tokens made in one hour, so that a call costs a look-up.
type hourOfTokens struct {
	hour   uint32
	tokens sync.Map // id.Object → string
	count  atomic.Int64
}

func newForms() *forms {
	f := &forms{now: time.Now}
	_, _ = rand.Read(f.key[:]) // never fails
	f.made.Store(&hourOfTokens{})
	return f
}

// hour is the present one, counted from 1970.
func (f *forms) hour() uint32 { return uint32(f.now().Unix() / 3600) }

// token gives the token of an object.
func (f *forms) token(object id.Object) string {
	hour, made := f.hour(), f.made.Load()
	if made.hour != hour || made.count.Load() >= formTokens {
		made = &hourOfTokens{hour: hour}
		f.made.Store(made)
	}
	known, _ := made.tokens.Load(object) // nil where there is none
	if t, ok := known.(string); ok {
		return t
	}
	t := base64.RawURLEncoding.EncodeToString(f.sign(object, hour))
	made.tokens.Store(object, t)
	made.count.Add(1)
	return t
}

// sign gives the bytes of a token.
func (f *forms) sign(object id.Object, hour uint32) []byte {
	stamp := binary.BigEndian.AppendUint32(nil, hour)
	mac := hmac.New(sha256.New, f.key[:])
	_, _ = mac.Write(stamp) // a hash takes all
	_, _ = mac.Write([]byte(object))
	return mac.Sum(stamp)
}

// valid reports whether a token was made for the object, and of late.
func (f *forms) valid(token string, object id.Object) bool {
	sent, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(sent) != 4+sha256.Size {
		return false
	}
	hour := binary.BigEndian.Uint32(sent)
	age := int64(f.hour()) - int64(hour)
	return hmac.Equal(sent, f.sign(object, hour)) && 0 <= age && age < formHours
}

// formToken gives what the script may write into its page; nothing where that
// page stands in a frame of another site, which could have its visitors click
// on what they do not see.
func (x *exchange) formToken(object id.Object) string {
	if dest := x.r.Header["Sec-Fetch-Dest"]; len(dest) > 0 && slices.Contains(frames, dest[0]) {
		if site := x.r.Header.Get("Sec-Fetch-Site"); site != "same-origin" && site != "none" {
			return ""
		}
	}
	return x.forms.token(object)
}

// frames are the places in another page in which a browser shows a page.
var frames = []string{"iframe", "frame", "embed", "object", "fencedframe"}

// checkOrigin refuses what pages of other sites send, but for the form of an
// object's own page: a plain POST to that object whose query has its token.
func (x *exchange) checkOrigin() error {
	if x.origin.Check(x.r) == nil {
		return nil
	}
	if x.r.Method != http.MethodPost || !strings.Contains(x.r.URL.RawQuery, formField) {
		return x.foreign()
	}
	name, err := x.objectName()
	if err != nil {
		return x.foreign()
	}
	object, _, err := id.ParseAddress(name)
	if err != nil {
		return x.foreign()
	}
	query, err := parseFields(x.r.URL.RawQuery, "query")
	if err != nil {
		return x.foreign()
	}
	if flag, err := x.findFlag(query); err != nil || flag != "" {
		return x.foreign()
	}
	token, sent := lastField(query, formField)
	switch {
	case !sent:
		return x.foreign()
	case !x.forms.valid(token, object):
		return errs.New(errs.Forbidden, "bad_form_token",
			"The form comes from a page that is too old, or of another object; load the page again.")
	}
	x.byForm = true
	return nil
}

func (x *exchange) foreign() error {
	return errs.New(errs.Forbidden, "cross_origin", "A page of another site may not send %s requests to this station.", x.r.Method)
}

// withoutToken takes the token out of a query, whether it counted or not: what
// a script does not see, it cannot pass on.
func withoutToken(query []host.Field) []host.Field {
	return slices.DeleteFunc(query, func(f host.Field) bool { return f.Name == formField })
}
