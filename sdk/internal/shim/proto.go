package shim
import "google.golang.org/protobuf/proto"

func Proto[T any, M proto.Message](encode func(*T) M, decode func(M) T) Format[T] {
	return Format[T]{
		Size: func(v *T) int { return proto.Size(encode(v)) },
		Append: func(b []byte, v *T) ([]byte, error) { return proto.MarshalOptions{}.MarshalAppend(b, encode(v)) },
		Parse: func(b []byte) (T, error) {
			var m M
			m = m.ProtoReflect().New().Interface().(M)
			if err := proto.Unmarshal(b, m); err != nil {
				var none T
				return none, err
			}
			return decode(m), nil
		},
	}
}
