package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"
)

const (
	keysFile          = "keys.conf"          // the public keys, for the servers
	kustomizationFile = "kustomization.yaml" // Kubernetes Secrets of the others
	webhookSecretFile = "webhook.secret"
	// The password of PostgreSQL's user orderflow: for its server, and, made of that, as clients read it ($PGPASSFILE).
	databaseSecretFile = "postgres.secret"
	passFile           = "pgpass"
	// The password that NATS servers of one cluster ask each other for, and, made of that, the part of their configuration that has it.
	routesSecretFile = "routes.secret"
	routesFile       = "routes.conf"
	seedSuffix       = ".nk"
)

func newKeys() *cobra.Command {
	var renewed []string
	cmd := &cobra.Command{
		Use:   "keys DIR",
		Short: "Create the keys of all users of a NATS server, and the other secrets",
		Long: `Create in DIR what is secret in a deployment: the key of each user of the NATS
server (order.nk and so on, for --nats-nkey), the secret with which partners sign
webhooks, the password of a PostgreSQL server, also as clients read it (pgpass), and
that of the NATS servers of a cluster among themselves, also as they read it (routes.conf).
keys.conf has the public keys, for the server's configuration in deploy/nats, and
kustomization.yaml makes Kubernetes Secrets of what the pods in deploy/k8s need.

What is there is kept, and only what is missing is created. A key that keys.conf knows stays
valid when its file is taken away, as that of "restore" should be. --new makes a user's
key anew; servers refuse the old one when they have reloaded keys.conf.

Only its owner can enter DIR. The files in it can be read by everybody who gets hold of
them by another way, as a container does whose user is another one.`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			created, err := createKeys(args[0], renewed...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d secrets created, %d were there\n", plain(args[0]), created, len(keyUsers())+len(passwordFiles())-created)
			return err
		},
	}
	cmd.Flags().StringSliceVar(&renewed, "new", nil, "make the key of `USER` anew, or of several separated by commas")
	return cmd
}

// keyUsers are the names of all users who have a key.
func keyUsers() (names []string) {
	for _, u := range slices.Concat(users(), systemUsers()) {
		names = append(names, u.name)
	}
	return names
}

// passwordFiles are the secrets that are no keys.
func passwordFiles() []string {
	return []string{webhookSecretFile, databaseSecretFile, routesSecretFile}
}

// routes is the part of deploy/nats/cluster.conf that has the password: routes have it in their URLs, into which a
// server's configuration puts no variables. The hosts are those of docker-compose.yml.
func routes(password string) string {
	var urls []string
	for _, host := range []string{"nats", "nats-2", "nats-3"} {
		urls = append(urls, fmt.Sprintf("%q", "nats://routes:"+password+"@"+host+":6222"))
	}
	return fmt.Sprintf(`# The password that NATS servers ask each other for, and their routes with it, for cluster.conf. By "orderflow keys".
CLUSTER_PASSWORD: %q
CLUSTER_ROUTES: [%s]
`, password, strings.Join(urls, ", "))
}

// createKeys creates the secrets that are missing in dir, those of the users who get new ones, and the file
// of all public keys. A public key that is there already stays where its seed is kept elsewhere.
func createKeys(dir string, renewed ...string) (created int, err error) {
	for _, name := range renewed {
		if !slices.Contains(keyUsers(), name) {
			return 0, usageError("--new is %q; users are %s", name, strings.Join(keyUsers(), ", "))
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fail(exitBadDirectory, "%w", err)
	}
	known, err := publicKeys(filepath.Join(dir, keysFile))
	if err != nil {
		return 0, err
	}
	for _, name := range renewed {
		delete(known, keyVariable(name))
		if err := os.Remove(filepath.Join(dir, name+seedSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fail(exitBadDirectory, "%w", err)
		}
	}
	var public strings.Builder
	public.WriteString("# The public keys of the users in accounts.conf, by \"orderflow keys\".\n")
	for _, name := range keyUsers() {
		if key := known[keyVariable(name)]; key != "" && !isFile(filepath.Join(dir, name+seedSuffix)) {
			fmt.Fprintf(&public, "%s: %s\n", keyVariable(name), key)
			continue
		}
		seed, isNew, err := secret(filepath.Join(dir, name+seedSuffix), newSeed)
		if err != nil {
			return created, err
		}
		if isNew {
			created++
		}
		pair, err := nkeys.FromSeed([]byte(seed))
		if err != nil {
			return created, fail(exitBadDirectory, "%s does not hold the seed of a key: %w", filepath.Join(dir, name+seedSuffix), err)
		}
		key, err := pair.PublicKey()
		if err != nil {
			return created, err
		}
		fmt.Fprintf(&public, "%s: %s\n", keyVariable(name), key)
	}
	passwords := map[string]string{}
	for _, name := range passwordFiles() {
		text, isNew, err := secret(filepath.Join(dir, name), func() (string, error) { return rand.Text(), nil })
		if err != nil {
			return created, err
		}
		if isNew {
			created++
		}
		passwords[name] = strings.TrimSpace(text)
	}
	for name, text := range map[string]string{
		passFile: "*:*:*:orderflow:" + passwords[databaseSecretFile] + "\n", routesFile: routes(passwords[routesSecretFile]),
	} {
		removeMountPoint(filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // as the other secrets
			return created, fail(exitBadDirectory, "%w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, keysFile), []byte(public.String()), 0o644); err != nil { //nolint:gosec // public keys
		return created, fail(exitBadDirectory, "%w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, kustomizationFile), []byte(kustomization()), 0o644); err != nil { //nolint:gosec // names
		return created, fail(exitBadDirectory, "%w", err)
	}
	return created, nil
}

// publicKeys reads the file of public keys, by their variables; none when there is no file yet.
func publicKeys(path string) (map[string]string, error) {
	removeMountPoint(path)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitBadDirectory, "%w", err)
	}
	keys := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if name, key, found := strings.Cut(line, ":"); found && nkeys.IsValidPublicUserKey(strings.TrimSpace(key)) {
			keys[strings.TrimSpace(name)] = strings.TrimSpace(key)
		}
	}
	return keys, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// kustomization makes a Kubernetes Secret of the key of each user who runs there; people use theirs elsewhere.
func kustomization() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# What is in this directory, for deploy/k8s. By "orderflow keys".
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
configMapGenerator:
  - name: nats-keys
    files: [%s]
secretGenerator:
  - name: webhook-secret
    files: [secret=%s]
`, keysFile, webhookSecretFile)
	for _, name := range keyUsers() {
		if !slices.Contains([]string{userOperator, userRestore, userSysadmin}, name) {
			fmt.Fprintf(&b, "  - name: %s-key\n    files: [seed=%s%s]\n", name, name, seedSuffix)
		}
	}
	return b.String()
}

func newSeed() (string, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	seed, err := pair.Seed()
	return string(seed), err
}

// secret reads a secret, or makes it when there is none.
func secret(path string, create func() (string, error)) (text string, isNew bool, err error) {
	removeMountPoint(path)
	data, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(data)), false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, fail(exitBadDirectory, "%w", err)
	}
	if text, err = create(); err != nil {
		return "", false, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
	if err != nil {
		return "", false, fail(exitBadDirectory, "%w", err)
	}
	_, err = file.WriteString(text + "\n")
	if err = errors.Join(err, file.Close()); err != nil {
		return "", false, fail(exitBadDirectory, "%w", err)
	}
	return text, true, nil
}

// removeMountPoint removes an empty directory in the place of a file: docker-compose makes one of
// each file that it is to mount and that is not there yet.
func removeMountPoint(path string) {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		_ = os.Remove(path) // one that is not empty stays, and is refused as no file
	}
}
