// Package seal holds the encryption of personal values: how a value becomes what
// is stored in its place, how a person's key is wrapped, and how a state is sealed
// under the keys of several persons. The algorithm is AES-256-GCM; a value's nonce is
// made of the value and its place, others are random. The forms are final: what was written once is read for ever.
//
// A sealed value is the object {"$sealed":"…"}. Its text is, in base64url without
// padding, a byte that names the form (1), the nonce (12 bytes), and the encrypted
// JSON with the authentication tag (16 bytes). The JSON is filled up with spaces to a
// multiple of 32 bytes, because a length alone can tell true from false. What is
// authenticated beside it is its [Place].
package seal
