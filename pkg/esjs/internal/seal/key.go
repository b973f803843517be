package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeySize is the length of every key, in bytes: AES-256.
const KeySize = 32

// Key is a person's data key, a master key, or a key made of others. It is
// immutable and safe for concurrent use.
type Key struct {
	bytes  [KeySize]byte
	nonces [sha256.Size]byte // the key of nonces; see sealOnce
	aead   cipher.AEAD
}

// NewKey returns a random key.
func NewKey() *Key {
	var k [KeySize]byte
	_, _ = rand.Read(k[:]) // never fails
	return keyOf(k)
}

// KeyFrom returns the key of these bytes, of which there must be [KeySize].
func KeyFrom(b []byte) (*Key, error) {
	if len(b) != KeySize {
		return nil, fmt.Errorf("a key of %d bytes: it must have %d", len(b), KeySize)
	}
	return keyOf([KeySize]byte(b)), nil
}

// keyOf never fails: the size is AES's.
func keyOf(b [KeySize]byte) *Key {
	block, err := aes.NewCipher(b[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	k := &Key{bytes: b, aead: aead}
	copy(k.nonces[:], k.mac("esjs nonces 1"))
	return k
}

func (k *Key) mac(label string) []byte {
	h := hmac.New(sha256.New, k.bytes[:])
	h.Write([]byte(label))
	return h.Sum(nil)
}

// seal encrypts under a random nonce, which comes first. Such a nonce of 96 bits may be
// used 2^32 times with one key, and a master key wraps one key for each person.
func (k *Key) seal(text, authenticated []byte) []byte {
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(text)+k.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return k.aead.Seal(nonce, nonce, text, authenticated)
}

// sealOnce encrypts so that the same text in the same place becomes the same
// bytes: a commit that is repeated is recognised by them. The nonce is made of both, with a
// key of its own, so it comes again with nothing else.
func (k *Key) sealOnce(dst, text, authenticated []byte) []byte {
	h := hmac.New(sha256.New, k.nonces[:])
	h.Write(binary.AppendUvarint(nil, uint64(len(authenticated))))
	h.Write(authenticated)
	h.Write(text)
	nonce := h.Sum(nil)[:k.aead.NonceSize()]
	return k.aead.Seal(append(dst, nonce...), nonce, text, authenticated)
}

// open is the inverse of both. Any difference is an [ErrBroken].
func (k *Key) open(sealed, authenticated []byte) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(sealed) < n {
		return nil, ErrBroken
	}
	text, err := k.aead.Open(nil, sealed[:n], sealed[n:], authenticated)
	if err != nil {
		return nil, ErrBroken
	}
	return text, nil
}

// ID names a key without telling it. The key must be random: a guess can be
// compared with its id.
func (k *Key) ID() string {
	return hex.EncodeToString(k.mac("esjs master key id 1")[:8])
}

// ErrBroken says that what was sealed was changed, moved, or sealed by another key.
var ErrBroken = errors.New("it is not what was sealed here")

// Wrap seals a person's key under the master key k.
func (k *Key) Wrap(person string, key *Key) []byte {
	return k.seal(key.bytes[:], labelled("esjs key 1", person))
}

// Unwrap is the inverse of Wrap. Any difference is an [ErrBroken].
func (k *Key) Unwrap(person string, wrapped []byte) (*Key, error) {
	b, err := k.open(wrapped, labelled("esjs key 1", person))
	if err != nil || len(b) != KeySize {
		return nil, ErrBroken
	}
	return KeyFrom(b)
}

// Together makes the key that can be made again only from all of keys, in the
// same order.
func Together(keys []*Key) (*Key, error) {
	secret := make([]byte, 0, len(keys)*KeySize)
	for _, k := range keys {
		secret = append(secret, k.bytes[:]...)
	}
	b, err := hkdf.Key(sha256.New, secret, nil, "esjs snapshot 1", KeySize)
	if err != nil {
		return nil, err
	}
	return KeyFrom(b)
}

// SealState seals an aggregate's state; place tells whose and which.
func (k *Key) SealState(state []byte, place ...string) []byte {
	return k.seal(state, labelled("esjs state 1", place...))
}

// OpenState is the inverse of SealState. Any difference is an [ErrBroken].
func (k *Key) OpenState(sealed []byte, place ...string) ([]byte, error) {
	return k.open(sealed, labelled("esjs state 1", place...))
}

// labelled is data that is authenticated and not stored: each text with its
// length before it, so that no two lists are written alike.
func labelled(label string, texts ...string) []byte {
	b := append(binary.AppendUvarint(nil, uint64(len(label))), label...)
	for _, t := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	return b
}
