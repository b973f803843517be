package jsonbench

import (
	"encoding/json"

	"github.com/bytedance/sonic"
	jsonv2 "github.com/go-json-experiment/json"
	goccy "github.com/goccy/go-json"
	segmentio "github.com/segmentio/encoding/json"
)

// library is a candidate with what it refuses, which [TestStrictness] proves.
type library struct {
	name      string
	unmarshal func([]byte, any) error
	refuses   []string
}

func libraries() []library {
	return []library{
		{"encoding/json", json.Unmarshal, nil},
		{"json/v2", func(data []byte, v any) error { return jsonv2.Unmarshal(data, v) }, []string{"invalid UTF-8", "a name twice", "a name of another case"}},
		{"goccy/go-json", goccy.Unmarshal, nil},
		{"segmentio/encoding", func(data []byte, v any) error { return segmentio.Unmarshal(data, v) }, nil},
		{"bytedance/sonic", sonic.ConfigStd.Unmarshal, nil},
		{"bytedance/sonic fastest", sonic.ConfigFastest.Unmarshal, nil},
	}
}
