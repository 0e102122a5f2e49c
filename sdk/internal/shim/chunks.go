package shim

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/errs"
)

// Chunk is how many bytes of a stream one message carries. Each message has
// memory of its own: gRPC may still hold it when Send has returned.
const Chunk = 256 << 10

// ErrSend is a message that was not sent: the stream has ended.
var ErrSend = errors.New("the stream has ended")

// SendChunks sends what r gives until its end. The error is r's own, or ErrSend.
func SendChunks(r io.Reader, send func([]byte) error) error {
	for {
		b := make([]byte, Chunk)
		n, end, err := ReadChunk(r, b)
		if err != nil {
			return err
		}
		if n > 0 && send(b[:n]) != nil {
			return ErrSend
		}
		if end {
			return nil
		}
	}
}

// SendBody answers a stream: with head, then with what r gives, which it closes.
func SendBody[M any](stream grpc.ServerStreamingServer[M], head *M, chunk func([]byte) *M, r io.ReadCloser) error {
	defer func() { _ = r.Close() }() // what was to be read has been
	if err := stream.Send(head); err != nil {
		return err
	}
	var sent error
	err := SendChunks(r, func(b []byte) error {
		sent = stream.Send(chunk(b))
		return sent
	})
	if sent != nil {
		return sent
	}
	return err
}

// ReadChunk fills b from r as far as r goes, and says whether that was its end.
// Only io.EOF itself is an end: io.ErrUnexpectedEOF, or an error that wraps one
// of the two, is how a reader says that it was cut off.
func ReadChunk(r io.Reader, b []byte) (n int, end bool, err error) {
	for idle := 0; n < len(b); {
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
		if idle++; m > 0 {
			idle = 0
		} else if idle == 100 {
			return n, false, io.ErrNoProgress
		}
	}
	return n, false, nil
}

// ChunkReader is the bytes of a stream, of which Recv gives the next ones. Its
// end is io.EOF only where the other side ended it in good order; one that is
// gone is an error.
type ChunkReader struct {
	Recv  func() ([]byte, error)
	chunk []byte
	err   error // that ended the stream
}

// Chunks is the bytes of the messages of a stream, on either side of it.
func Chunks[M any](stream interface{ Recv() (*M, error) }, chunk func(*M) []byte) *ChunkReader {
	return &ChunkReader{Recv: func() ([]byte, error) {
		m, err := stream.Recv()
		return chunk(m), err
	}}
}

// Read implements io.Reader.
func (r *ChunkReader) Read(b []byte) (int, error) {
	for len(r.chunk) == 0 && r.err == nil {
		chunk, err := r.Recv()
		switch {
		case err == nil:
			r.chunk = chunk
		case errors.Is(err, io.EOF):
			r.err = io.EOF
		default:
			r.err = FromStatus(err)
		}
	}
	if len(r.chunk) == 0 {
		return 0, r.err
	}
	n := copy(b, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// StreamReader is a ChunkReader that can be given up.
type StreamReader struct {
	ChunkReader
	Cancel context.CancelFunc
}

// OpenBody takes what SendBody sends: it gives the head, and a reader of the bytes
// that follow. open makes the call, which ends when the reader is closed.
func OpenBody[M any](ctx context.Context, open func(context.Context) (grpc.ServerStreamingClient[M], error), chunk func(*M) []byte) (*M, *StreamReader, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := open(ctx)
	var head *M
	if err == nil {
		head, err = stream.Recv()
	}
	if err != nil {
		cancel()
		return nil, nil, FromStatus(err)
	}
	return head, &StreamReader{ChunkReader: *Chunks(stream, chunk), Cancel: cancel}, nil
}

// Close implements io.Closer. A stream that has not ended is cancelled.
func (r *StreamReader) Close() error {
	r.Cancel()
	r.chunk = nil
	if r.err == nil {
		r.err = errs.New(errs.Invalid, "", "The stream was closed.")
	}
	return nil
}
