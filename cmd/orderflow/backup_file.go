package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	backupfile "github.com/nats-io/jsm.go/backup"
)

const (
	backupFormat = 1
	manifestFile = "manifest.json"
	// sealFile is the last entry of a backup: the SHA-256 of everything before it. A file
	// without it is not complete.
	sealFile = "SHA256"
)

// manifest says what is in a backup. It comes after the streams.
type manifest struct {
	Format  int       `json:"format"`
	TakenAt time.Time `json:"taken_at"`
	Server  string    `json:"server"` // its version
	Parts   []piece   `json:"parts"`
}

// piece is a stream in a backup.
type piece struct {
	Stream   string `json:"stream"`
	Messages uint64 `json:"messages"`
	First    uint64 `json:"first"` // sequence
	Last     uint64 `json:"last"`
	Bytes    int64  `json:"bytes"` // of the archive
	SHA256   string `json:"sha256"`
	// Chain is a hash over sequence, time, subject and body of every message, each with
	// the hash of those before it.
	Chain string `json:"chain"`
	// Config is the SHA-256 of what the server told of the stream.
	Config string `json:"config_sha256"`
}

// part returns that of a stream; the zero piece when there is none.
func (m manifest) part(stream string) piece {
	i := slices.IndexFunc(m.Parts, func(p piece) bool { return p.Stream == stream })
	if i < 0 {
		return piece{}
	}
	return m.Parts[i]
}

// chain is the hash of messages.
type chain struct{ sum [sha256.Size]byte }

func (c *chain) add(sequence uint64, at int64, subject string, body io.Reader) error {
	h := sha256.New()
	h.Write(c.sum[:])
	for _, n := range []uint64{sequence, uint64(at), uint64(len(subject))} {
		h.Write(binary.BigEndian.AppendUint64(nil, n))
	}
	h.Write([]byte(subject))
	_, err := io.Copy(h, body)
	h.Sum(c.sum[:0])
	return err
}

func (c *chain) String() string { return hex.EncodeToString(c.sum[:]) }

// scan reads a stream's archive up to its end, and tells what is in it. Events have
// sequences from 1 on and without a gap.
func scan(stream string, archive io.Reader, size int64) (piece, error) {
	sum := sha256.New()
	archive = io.TeeReader(io.LimitReader(archive, size), sum)
	p := piece{Stream: stream, Bytes: size}
	var links chain
	for decoder := backupfile.NewDecoder(archive); ; {
		item, err := decoder.Next()
		if err != nil {
			return p, err
		}
		switch item := item.(type) {
		case *backupfile.State:
			p.First, p.Last = item.State.FirstSeq, item.State.LastSeq
		case *backupfile.Message:
			if stream == eventStream && item.Seq != p.Messages+1 {
				return p, fmt.Errorf("after commit %d comes commit %d", p.Messages, item.Seq)
			}
			p.Messages++
			if _, err := io.CopyN(io.Discard, item.Body, item.HdrSize); err != nil {
				return p, err
			}
			if err := links.add(item.Seq, item.Ts, item.Subject, item.Body); err != nil {
				return p, err
			}
		case backupfile.End:
			if stream == eventStream && p.Messages != p.Last {
				return p, fmt.Errorf("it has %d commits, and the last one is number %d", p.Messages, p.Last)
			}
			p.Chain = links.String()
			_, err := io.Copy(io.Discard, archive)
			p.SHA256 = sumOf(sum)
			return p, err
		}
	}
}

func sumOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// backupWriter makes a backup under another name, which it gets when it is complete.
type backupWriter struct {
	path     string
	file     *os.File
	sum      hash.Hash // of what is written
	tar      *tar.Writer
	manifest manifest
}

func createBackup(path string) (*backupWriter, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = errors.New("it is there already; give another name, or remove it")
		}
		return nil, usageError("the backup %s: %w", path, err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), backupTemporary)
	if err != nil {
		return nil, usageError("the backup %s: %w", path, err)
	}
	w := &backupWriter{path: path, file: file, sum: sha256.New()}
	w.tar = tar.NewWriter(io.MultiWriter(file, w.sum))
	return w, nil
}

func (w *backupWriter) directory() string { return filepath.Dir(w.path) }

// add adds a stream, whose archive is read from its beginning.
func (w *backupWriter) add(p piece, config []byte, archive io.Reader) error {
	sum := sha256.Sum256(config)
	p.Config = hex.EncodeToString(sum[:])
	w.manifest.Parts = append(w.manifest.Parts, p)
	return errors.Join(
		w.entry(p.Stream+"/"+backupfile.MetaFile, int64(len(config)), bytes.NewReader(config)),
		w.entry(p.Stream+"/"+backupfile.DataFile, p.Bytes, archive))
}

func (w *backupWriter) entry(name string, size int64, from io.Reader) error {
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: w.manifest.TakenAt}); err != nil {
		return err
	}
	_, err := io.Copy(w.tar, from)
	return err
}

// finish writes manifest and seal, and makes sure that everything is on the disk.
func (w *backupWriter) finish() error {
	text, err := json.Marshal(w.manifest, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	if err := w.entry(manifestFile, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	if err := w.tar.Flush(); err != nil {
		return err
	}
	end, err := seal(w.sum, w.manifest.TakenAt)
	if err != nil {
		return err
	}
	_, err = w.file.Write(end)
	return errors.Join(err, w.file.Sync())
}

// seal is the end of a backup: the entry with the hash of all bytes before it, and the end
// of the archive.
func seal(sum hash.Hash, at time.Time) ([]byte, error) {
	var end bytes.Buffer
	w := backupWriter{tar: tar.NewWriter(&end), manifest: manifest{TakenAt: at}}
	text := sumOf(sum) + "\n"
	err := w.entry(sealFile, int64(len(text)), strings.NewReader(text))
	err = errors.Join(err, w.tar.Close()) // which writes the archive's end, so that tar takes it as well
	return end.Bytes(), err
}

// check reads what was written.
func (w *backupWriter) check(bar *bar) error {
	b, err := openBackup(w.file.Name(), bar)
	if err != nil {
		return fmt.Errorf("what was written is not what was sent; is the disk sound? %w", err)
	}
	return b.file.Close()
}

// close gives a complete backup its name, which nobody else may have taken meanwhile, and
// removes one that is not.
func (w *backupWriter) close(complete bool) error {
	err := w.file.Close()
	if complete && err == nil {
		err = os.Link(w.file.Name(), w.path)
		if _, missing := os.Lstat(w.path); err != nil && errors.Is(missing, fs.ErrNotExist) { // a file system without links
			return errors.Join(os.Rename(w.file.Name(), w.path), syncDirectory(w.directory()))
		}
	}
	return errors.Join(err, os.Remove(w.file.Name()), syncDirectory(w.directory()))
}

// syncDirectory keeps a new name over a power failure.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := dir.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return errors.Join(err, dir.Close())
	}
	return dir.Close()
}

// backupReader is a backup whose every byte was found to be as its manifest says.
type backupReader struct {
	file     *os.File
	manifest manifest
	entries  map[string]*io.SectionReader
}

// openBackup checks a whole backup. What is wrong with it is said with status
// exitUnsound.
func openBackup(path string, bar *bar) (*backupReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, usageError("the backup: %w", err)
	}
	b := &backupReader{file: file, entries: make(map[string]*io.SectionReader)}
	if err := b.check(bar); err != nil {
		_ = file.Close()
		return nil, fail(exitUnsound, "the backup %s: %w", path, err)
	}
	return b, nil
}

func (b *backupReader) check(bar *bar) error {
	for archive := tar.NewReader(b.file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("it is not a backup, or not complete: %w", err)
		}
		from, err := b.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		b.entries[header.Name] = io.NewSectionReader(b.file, from, header.Size)
	}
	text, ok := b.entries[manifestFile]
	if !ok {
		return fmt.Errorf("it has no %s, so it is not a backup, or not complete", manifestFile)
	}
	if err := json.UnmarshalRead(text, &b.manifest); err != nil {
		return fmt.Errorf("its %s: %w", manifestFile, err)
	}
	if b.manifest.Format != backupFormat {
		return fmt.Errorf("it has format %d, and this program reads %d", b.manifest.Format, backupFormat)
	}
	var names []string
	for _, want := range b.manifest.Parts {
		names = append(names, want.Stream)
		if err := b.checkPart(want); err != nil {
			return fmt.Errorf("stream %s: %w", want.Stream, err)
		}
		bar.end("%s: %d messages are as they were taken", want.Stream, want.Messages)
	}
	if want := backupStreams(); !slices.Equal(names, want) {
		return fmt.Errorf("it has the streams %s, and this program needs %s", strings.Join(names, ", "), strings.Join(want, ", "))
	}
	return b.checkSeal()
}

// checkSeal compares all bytes, also those between the streams, and wants nothing behind them.
func (b *backupReader) checkSeal() error {
	entry := b.entries[sealFile]
	if entry == nil {
		return fmt.Errorf("it has no %s, so it is not complete", sealFile)
	}
	_, at, _ := entry.Outer()
	at -= tarHeader
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(b.file, 0, at)); err != nil {
		return err
	}
	want, err := seal(sum, b.manifest.TakenAt)
	if err != nil {
		return err
	}
	end, err := io.ReadAll(io.NewSectionReader(b.file, at, int64(len(want))+1))
	if err != nil {
		return err
	}
	// Earlier builds wrote nothing behind the checksum, neither its padding nor the archive's end.
	earlier := want[:tarHeader+len(sumOf(sum))+1]
	if !bytes.Equal(end, want) && !bytes.Equal(end, earlier) {
		return errors.New("it is damaged: it does not end with the checksum of what is in it")
	}
	return nil
}

// tarHeader is the length of an entry's header.
const tarHeader = 512

func (b *backupReader) checkPart(want piece) error {
	config, archive := b.entries[want.Stream+"/"+backupfile.MetaFile], b.entries[want.Stream+"/"+backupfile.DataFile]
	if config == nil || archive == nil {
		return errors.New("it is missing")
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, config); err != nil {
		return err
	}
	if sumOf(sum) != want.Config {
		return errors.New("its configuration is damaged: the checksum differs")
	}
	got, err := scan(want.Stream, archive, archive.Size())
	if err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	got.Config = want.Config
	if got != want {
		return fmt.Errorf("it is damaged: it has %d messages with the checksum %s, and should have %d with %s", got.Messages, got.SHA256, want.Messages, want.SHA256)
	}
	return nil
}

// stream returns what the server told of a stream, as it is stored and read, and the archive.
func (b *backupReader) stream(name string) (meta []byte, config streamConfig, archive io.Reader, err error) {
	entry, data := b.entries[name+"/"+backupfile.MetaFile], b.entries[name+"/"+backupfile.DataFile]
	meta, err = io.ReadAll(io.NewSectionReader(entry, 0, entry.Size()))
	if err == nil {
		err = stdjson.Unmarshal(meta, &config) // as the library has written it
	}
	return meta, config, io.NewSectionReader(data, 0, data.Size()), err
}
