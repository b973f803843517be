package e2e

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// curl does what README uses of curl, on machines that have none: the test
// binary is linked under that name.
func curl(args []string) error {
	flags := flag.NewFlagSet("curl", flag.ContinueOnError)
	method := flags.String("X", "", "")
	data := flags.String("d", "", "")
	show := flags.Bool("i", false, "")
	flags.Bool("s", false, "")
	header := http.Header{}
	flags.Func("json", "", func(text string) error {
		*data = text
		header.Set("Content-Type", "application/json")
		header.Set("Accept", "application/json")
		return nil
	})
	flags.Func("H", "", func(line string) error {
		name, value, _ := strings.Cut(line, ":")
		header.Add(name, strings.TrimSpace(value))
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *method == "" && *data != "" {
		*method = http.MethodPost
	}
	req, err := http.NewRequest(*method, flags.Arg(0), strings.NewReader(*data))
	if err != nil {
		return err
	}
	if *data != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if *show {
		fmt.Println(resp.Proto, resp.Status)
		if err := resp.Header.Write(os.Stdout); err != nil {
			return err
		}
		fmt.Println()
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	fmt.Println()
	return err
}
