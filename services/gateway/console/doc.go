// Package console is the web console: pages for people, rendered on the server.
//
// A page is read without JavaScript. With it, a page keeps itself current: its
// module hears of events by the gateway's live streams, fetches the page again and
// puts the parts that are marked data-region in place of the old ones. So there is
// one way in which a thing is drawn, and it is in this package.
//
// The console holds no state and knows no rules of orders: it asks and commands
// through the [desk.Desk], in the name of who has signed in, and shows what it is
// answered. Every form carries a command id that was made with the page, so that
// sending it twice has one effect, and those that replace a value carry the version
// that the page showed.
//
// Whatever was stored by somebody is text: templates escape it by where it stands,
// and the content security policy lets run nothing that is not a file of the console.
package console
