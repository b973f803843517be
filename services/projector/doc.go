// Package projector is the read side: it projects the stored events into views
// in one database of its own and answers queries from them. It appends nothing.
//
// Each directory is a view, an esjs.Projection with its tables and its queries;
// the list of them is in service.go. Everything here can be deleted: it is
// rebuilt from the store.
package projector
