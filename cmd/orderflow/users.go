package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/b144f99b/orderflow/internal/service"
)

// natsUser is one user of a NATS server, and what it may do there. Each service
// connects as its own. What is not listed is refused by the server, which logs the attempt.
type natsUser struct {
	name      string
	does      string
	publish   []string
	subscribe []string
}

// The users who are not services.
const (
	userOperator  = "operator"
	userProvision = "provision"
	userBackup    = "backup"
	userRestore   = "restore"
	userMonitor   = "monitor"
	userSysadmin  = "sysadmin"
)

// notedStream is that of the bucket in which the last complete backup is noted. A backup does not have it: on another
// server it would be another one's.
const notedStream = "KV_" + bucketBackups

// parkedStream keeps the queued commands that were not carried out.
const parkedStream = "KV_COMMANDS_PARKED"

// users are all users of the account APP. The list of services says what each of them needs; everything
// else about permissions is here. docs/adr/0051 says what a server cannot restrict.
func users() (all []natsUser) {
	for _, s := range services() {
		if !s.external {
			all = append(all, serviceUser(s))
		}
	}
	return append(all, operatorUser(), provisionUser(), backupUser(), restoreUser())
}

// systemUsers are those of the account SYS, which sees the servers themselves, and can take all streams of APP away
// with one request. What runs may only ask.
func systemUsers() []natsUser {
	monitor := newUser(userMonitor, "Asks every server for its streams: orderflow monitor")
	monitor.publish = []string{jetstreamRequest}
	return []natsUser{monitor, {
		name:      userSysadmin,
		does:      "People who look after the servers: nats server. It may do everything to them, and to what they store: keep its key away from what runs",
		publish:   []string{">"},
		subscribe: []string{">"},
	}}
}

func newUser(name, does string) natsUser {
	return natsUser{name: name, does: does, subscribe: []string{"_INBOX." + name + ".>"}}
}

// serviceUser may do what one service does.
func serviceUser(s spec) natsUser {
	u := newUser(s.name, s.short)
	u.mayRead(eventStream)
	for _, category := range s.appends {
		u.publish = append(u.publish, "ev."+category+".*")
	}
	for _, bucket := range s.buckets {
		u.mayRead("KV_" + bucket)
		u.publish = append(u.publish, "$KV."+bucket+".>")
	}
	if s.timers {
		u.maySetTimers()
	}
	for _, category := range slices.Concat(s.takes, s.steered) {
		u.mayTake(category)
	}
	u.subscribe = append(u.subscribe, s.answers...)
	if s.name != gatewayName && s.name != projectorName {
		u.subscribe = append(u.subscribe, "cmd.subscription."+s.name+".>") // what is decided about parked keys
	}
	if s.name == gatewayName {
		u.publish = append(u.publish, "cmd.>", "query.>")
		return u
	}
	// It answers those who may ask. The server could allow each answer by itself, but it would
	// take note of every event that it delivers for that.
	u.publish = append(u.publish, "_INBOX."+gatewayName+".>", "_INBOX."+userOperator+".>")
	u.subscribe = append(u.subscribe, "$SRV.>") // "nats micro" asks all services
	return u
}

// mayGet lets it read messages of a stream, one by one or in batches: from the leader and from any replica.
func (u *natsUser) mayGet(stream string) {
	u.publish = append(u.publish,
		"$JS.API.STREAM.INFO."+stream,
		"$JS.API.STREAM.MSG.GET."+stream,
		"$JS.API.DIRECT.GET."+stream,
		"$JS.API.DIRECT.GET."+stream+".>",
	)
}

// mayRead lets it read a stream, also by consumers. What it reads of a stream cannot be restricted further.
func (u *natsUser) mayRead(stream string) {
	u.mayGet(stream)
	u.publish = append(u.publish,
		"$JS.API.CONSUMER.CREATE."+stream+".>",
		"$JS.API.CONSUMER.DELETE."+stream+".*",
		"$JS.API.CONSUMER.MSG.NEXT."+stream+".*",
	)
}

// maySetTimers lets it set timers of its own and follow them.
func (u *natsUser) maySetTimers() {
	own := "timer." + u.name + ".>"
	u.publish = append(u.publish, own,
		"$JS.API.STREAM.INFO."+timerStream,
		"$JS.API.STREAM.MSG.GET."+timerStream,
		"$JS.API.CONSUMER.CREATE."+timerStream+".*."+own,
		"$JS.API.CONSUMER.DELETE."+timerStream+".*",
		"$JS.API.CONSUMER.MSG.NEXT."+timerStream+".*",
	)
}

// mayTake lets it answer the commands of a category and take them from the queue.
func (u *natsUser) mayTake(category string) {
	u.subscribe = append(u.subscribe, "cmd."+category+".>", "cmd.queue."+category+".>")
	u.publish = append(u.publish, "$JS.API.STREAM.INFO."+commandStream, "cmdq."+category+".>") // what is released is queued again
	for lane := range service.QueueLanes {
		consumer := fmt.Sprintf("%s-%d", category, lane)
		u.publish = append(u.publish,
			fmt.Sprintf("$JS.API.CONSUMER.CREATE.%s.%s.cmdq.%d.%s.>", commandStream, consumer, lane, category),
			"$JS.API.CONSUMER.MSG.NEXT."+commandStream+"."+consumer,
			"$JS.ACK."+commandStream+"."+consumer+".>",
		)
	}
	u.mayRead(parkedStream)
	u.publish = append(u.publish,
		"$KV.COMMANDS_PARKED."+category+".>",
		"$KV.COMMANDS_PARKED.dropped."+category+".>",
	)
}

// operatorUser is the command line of people: it commands, asks, and reads everything that is stored.
func operatorUser() natsUser {
	u := newUser(userOperator, "People at a shell: orderflow's commands and the nats CLI")
	u.publish = append(u.publish, "cmd.>", "cmdq.>", "query.>", "$SRV.>",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST",
		"$JS.API.STREAM.LEADER.STEPDOWN."+eventStream, // to read each replica as the leader: orderflow verify --each-replica
	)
	u.subscribe = append(u.subscribe, "ev.>")
	for _, stream := range append(allStreams(), notedStream) {
		if stream == commandStream {
			u.mayGet(stream) // a consumer of it takes commands away
		} else {
			u.mayRead(stream)
		}
		u.publish = append(u.publish,
			"$JS.API.CONSUMER.NAMES."+stream, "$JS.API.CONSUMER.LIST."+stream, "$JS.API.CONSUMER.INFO."+stream+".*")
	}
	return u
}

// provisionUser creates and changes the streams of the system, and only those. It neither reads nor
// deletes them. It exists for "orderflow provision".
func provisionUser() natsUser {
	u := newUser(userProvision, "Creates the streams and buckets: orderflow provision, and nothing that runs")
	u.publish = append(u.publish, "$JS.API.INFO")
	for _, stream := range append(allStreams(), notedStream) {
		u.publish = append(u.publish,
			"$JS.API.STREAM.INFO."+stream, "$JS.API.STREAM.CREATE."+stream, "$JS.API.STREAM.UPDATE."+stream)
	}
	return u
}

// backupUser takes what a backup has.
func backupUser() natsUser {
	u := newUser(userBackup, "Takes backups: orderflow backup")
	for _, stream := range backupStreams() {
		u.publish = append(u.publish, "$JS.API.STREAM.INFO."+stream, "$JS.API.STREAM.SNAPSHOT."+stream, "$JS.SNAPSHOT.ACK."+stream+".>")
	}
	u.publish = append(u.publish, "$KV."+bucketBackups+"."+lastBackup)
	return u
}

// restoreUser brings a backup back. It is the only one who may delete the system's streams: the empty ones
// that are in the way, and what of a restore has failed. Nothing that runs has its key.
func restoreUser() natsUser {
	u := newUser(userRestore, "Brings a backup back: orderflow restore. It may delete the system's streams: keep its key away from what runs")
	u.publish = append(u.publish, "$JS.API.INFO")
	for _, stream := range append(snapshotStreams(), eventStream) { // what is compared and verified
		u.mayRead(stream)
	}
	for _, stream := range allStreams() {
		u.publish = append(u.publish,
			"$JS.API.STREAM.INFO."+stream, "$JS.API.STREAM.RESTORE."+stream, "$JS.SNAPSHOT.RESTORE."+stream+".>", "$JS.API.STREAM.DELETE."+stream,
			"$JS.API.STREAM.CREATE."+stream, "$JS.API.STREAM.UPDATE."+stream)
	}
	u.publish = append(u.publish, "$JS.API.STREAM.INFO."+notedStream, "$JS.API.STREAM.CREATE."+notedStream, "$JS.API.STREAM.UPDATE."+notedStream)
	for _, stream := range backupStreams() { // what was brought back is taken again, and compared
		if stream != eventStream {
			u.publish = append(u.publish, "$JS.API.STREAM.SNAPSHOT."+stream, "$JS.SNAPSHOT.ACK."+stream+".>")
		}
	}
	return u
}

// allStreams are all streams of the system.
func allStreams() []string { return slices.Concat(backupStreams(), snapshotStreams()) }

// keyVariable is the name under which a server's configuration knows the public key of a user.
func keyVariable(user string) string { return "KEY_" + strings.ToUpper(user) }

// accountsFile is the configuration of accounts, users and permissions of a NATS server. Keys are not in
// it: it refers to the variables of a file that "orderflow keys" makes.
func accountsFile() string {
	var b strings.Builder
	b.WriteString(`# Who may do what. Generated from cmd/orderflow/users.go and services.go; after a change there:
#   go test ./cmd/orderflow -run TestTheAccountsFile -rewrite

# Each user's public key, by "orderflow keys".
include "keys.conf"

accounts {
  APP {
    jetstream: enabled
    users: [
`)
	for _, u := range users() {
		u.write(&b)
	}
	b.WriteString(`    ]
  }
  SYS {
    users: [
`)
	for _, u := range systemUsers() {
		u.write(&b)
	}
	b.WriteString(`    ]
  }
}
system_account: SYS
`)
	return b.String()
}

func (u natsUser) write(b *strings.Builder) {
	fmt.Fprintf(b, "      # %s: %s.\n      { nkey: $%s, permissions: {\n", u.name, u.does, keyVariable(u.name))
	write := func(direction string, subjects []string) {
		fmt.Fprintf(b, "        %s: { allow: [\n", direction)
		for _, subject := range slices.Compact(slices.Sorted(slices.Values(subjects))) {
			fmt.Fprintf(b, "          %q\n", subject)
		}
		b.WriteString("        ] }\n")
	}
	write("publish", u.publish)
	write("subscribe", u.subscribe)
	b.WriteString("      } }\n")
}
