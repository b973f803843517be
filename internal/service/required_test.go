package service_test

import (
	"errors"
	"testing"

	"github.com/b144f99b/orderflow/internal/service"
	"github.com/b144f99b/orderflow/pkg/esjs"
)

type order struct {
	Name  string `json:"name" required:"of 1 to 9 bytes"`
	Count *int8  `json:"count" required:"that is even"`
	Note  string `json:"note"`
	place
	Lines []struct {
		SKU string `json:"sku" required:"of a product"`
	} `json:"lines"`
}

type place struct {
	Shelf struct {
		Row uint `json:"row" required:"from the floor up"`
	} `json:"shelf"`
}

func TestAMissingFieldIsNamed(t *testing.T) {
	for body, says := range map[string]string{
		`{"name":"a","count":2}`: "",
		`{"name":"a","count":2,"note":null,"lines":null,"shelf":null}`:  "",
		`{"name":"","count":0,"lines":[{"sku":"x"}],"shelf":{"row":0}}`: "",
		`{}`:                                `the field "name" is missing; it must be a string of 1 to 9 bytes`,
		`{"name":null,"count":2}`:           `the field "name" is missing; it must be a string of 1 to 9 bytes`,
		`{"name":"a"}`:                      `the field "count" is missing; it must be a whole number from -128 to 127 that is even`,
		`{"name":"a","count":null}`:         `the field "count" is missing; it must be a whole number from -128 to 127 that is even`,
		`{"name":"a","count":2,"shelf":{}}`: `the field "shelf.row" is missing; it must be a whole number, 0 or more from the floor up`,
		`{"name":"a","count":2,"lines":[{"sku":"x"},{"sku":"y"},{}]}`:       `the field "lines[2].sku" is missing; it must be a string of a product`,
		`{"lines":[{}],"name":"a","count":2}`:                               `the field "lines[0].sku" is missing; it must be a string of a product`,
		` { "count" : 2 , "name" : "}" , "lines" : [ ] , "note" : "[{" }  `: "",
	} {
		err := service.Decode([]byte(body), &order{})
		if says == "" {
			if err != nil {
				t.Errorf("%s: %v", body, err)
			}
			continue
		}
		var r *esjs.Rejection
		if !errors.As(err, &r) || r.Code != "field_required" || r.Status != 422 || r.Message != says {
			t.Errorf("%s: got %v, want %s", body, err, says)
		}
	}
}
