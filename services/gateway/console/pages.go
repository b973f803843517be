package console

import (
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// parsePages makes a template of every page together with the layout and the
// parts that pages have in common.
func parsePages(files fs.FS) (map[string]*template.Template, error) {
	const layout, parts = "pages/layout.html", "pages/parts.html"
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	pages := make(map[string]*template.Template, len(names))
	for _, name := range names {
		if name == layout || name == parts {
			continue
		}
		page, err := template.New("").Funcs(words()).Option("missingkey=error").ParseFS(files, layout, parts, name)
		if err != nil {
			return nil, err
		}
		pages[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return pages, nil
}

// asset answers with a file of the console's own.
func (c *Console) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	body, err := fs.ReadFile(c.assets, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	secure(w)
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(body)
}

const themeCookie = "orderflow_theme"

// theme is what the visitor chose; "" is what the system has.
func theme(r *http.Request) string {
	if cookie, err := r.Cookie(themeCookie); err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}

// setTheme keeps which theme a visitor chose, and brings him back.
func setTheme(v *visit) error {
	chosen := v.PostFormValue("theme")
	if chosen != "" && chosen != "light" && chosen != "dark" {
		return refuse(http.StatusUnprocessableEntity, "field_invalid", `"theme" is %.40q; it must be light, dark or empty`, chosen)
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: themeCookie, Value: chosen, Path: Root, MaxAge: 365 * 24 * 3600,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return v.see(local(v.PostFormValue("here")))
}

// local accepts a path of the console, and nothing that leads elsewhere.
func local(path string) string {
	if strings.HasPrefix(path, Root) && !strings.Contains(path, "\\") {
		return path
	}
	return Root
}

func home(v *visit) error { return v.see(Root + "orders") }

func noSuchPage(v *visit) error {
	return refuse(http.StatusNotFound, "no_such_page", "there is no such page")
}
