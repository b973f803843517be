package view

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
)

// Document reads a row with one column, a document of JSON.
func Document[T any](row interface{ Scan(...any) error }) (document T, err error) {
	var text string
	if err := row.Scan(&text); err != nil {
		return document, err
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return document, fmt.Errorf("document of a row: %w", err)
	}
	return document, nil
}

// DocumentOrNone is [Document], or the zero value when there is no row.
func DocumentOrNone[T any](row interface{ Scan(...any) error }) (T, error) {
	document, err := Document[T](row)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return document, err
}

// Marshal writes a document for its column.
func Marshal(document any) (string, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return "", fmt.Errorf("document of a row: %w", err)
	}
	return string(data), nil
}
