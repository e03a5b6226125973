package main

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBackground(t *testing.T) {
	env := map[string]string{
		"GATEHOUSE_DATA": "/env/data", "GATEHOUSE_LISTEN": "127.0.0.1:1", "GATEHOUSE_STORE": "postgres://u:hunter2@h/d",
		"XDG_DATA_HOME": "/xdg", "OLLAMA_HOST": "gpu.lan",
	}
	look := func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	f := flags{config: "/a/b.yaml", data: "/flag/data"}
	got, err := f.background("/bin/gatehouse", "/home/ada", look)
	if err != nil {
		t.Fatal(err)
	}
	want := background{
		call: []string{"/bin/gatehouse", "run", "--config", "/a/b.yaml", "--data", "/flag/data", "--listen", "127.0.0.1:1"},
		env:  [][2]string{{"HOME", "/home/ada"}, {"XDG_DATA_HOME", "/xdg"}, {"OLLAMA_HOST", "gpu.lan"}, {"GATEHOUSE_STORE", "postgres://u:hunter2@h/d"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(background{})); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(strings.Join(got.call, " "), "hunter2") {
		t.Error("a password stands in the arguments")
	}
}

// awkward is a path with everything that a file may contain and a unit must escape.
const awkward = "/opt/my \"apps\"/50% of $HOME\\\nExecStartPre=/bin/false"

func TestSystemd(t *testing.T) {
	b := background{call: []string{awkward, "run", "--data", "/d"}, env: [][2]string{{"HOME", "/home/$ada"}}}
	user := systemd("/home/ada", b, false)
	if want := "/home/ada/.config/systemd/user/gatehouse.service"; user.file != want {
		t.Errorf("file %s, want %s", user.file, want)
	}
	text := string(user.text)
	for _, want := range []string{
		`ExecStart="/opt/my \"apps\"/50%% of $HOME\\\nExecStartPre=/bin/false" "run" "--data" "/d"` + "\n",
		`Environment="HOME=/home/$ada"` + "\n", "WantedBy=default.target\n", "Restart=always\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\nExecStartPre") {
		t.Errorf("a path added a line:\n%s", text)
	}
	if diff := cmp.Diff([]string{"systemctl", "--user", "enable", "--now", "gatehouse.service"}, user.start[1]); diff != "" {
		t.Error(diff)
	}

	root := systemd("/root", b, true)
	if want := "/etc/systemd/system/gatehouse.service"; root.file != want {
		t.Errorf("file %s, want %s", root.file, want)
	}
	const rights = "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE\n"
	if !strings.Contains(string(root.text), rights) || strings.Contains(text, rights) || !strings.Contains(text, "SystemCallFilter=@system-service\n") {
		t.Errorf("the system's unit is not hardened, or the user's asks for what it cannot have:\n%s", root.text)
	}
	if !strings.Contains(string(root.text), "WantedBy=multi-user.target\n") {
		t.Errorf("wrong target:\n%s", root.text)
	}
	if diff := cmp.Diff([][]string{{"systemctl", "disable", "--now", "gatehouse.service"}}, root.stop); diff != "" {
		t.Error(diff)
	}
}

func TestLaunchd(t *testing.T) {
	b := background{call: []string{"/Apps & <more>/gatehouse", "run"}, env: [][2]string{{"HOME", "/Users/ada"}}}
	u := launchd("/Users/ada", b, 501)
	if want := "/Users/ada/Library/LaunchAgents/chat.gatehouse.plist"; u.file != want {
		t.Errorf("file %s, want %s", u.file, want)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>chat.gatehouse</string>
	<key>ProgramArguments</key>
	<array>
		<string>/Apps &amp; &lt;more&gt;/gatehouse</string>
		<string>run</string>
	</array>
	<key>EnvironmentVariables</key>
	<dict>
		<key>HOME</key>
		<string>/Users/ada</string>
	</dict>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<true/>
	<key>Umask</key>
	<integer>63</integer>
	<key>ProcessType</key>
	<string>Interactive</string>
	<key>ExitTimeOut</key>
	<integer>30</integer>
	<key>StandardErrorPath</key>
	<string>/Users/ada/Library/Logs/gatehouse.log</string>
</dict>
</plist>
`
	if diff := cmp.Diff(want, string(u.text)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"launchctl", "bootstrap", "gui/501", u.file}}, u.start); diff != "" {
		t.Error(diff)
	}
}

func TestLaunchdAsRoot(t *testing.T) {
	u := launchd("/var/root", background{call: []string{"/usr/local/bin/gatehouse", "run"}}, 0)
	if want := "/Library/LaunchDaemons/chat.gatehouse.plist"; u.file != want {
		t.Errorf("file %s, want %s", u.file, want)
	}
	if diff := cmp.Diff([][]string{{"launchctl", "bootstrap", "system", u.file}}, u.start); diff != "" {
		t.Error(diff)
	}
}

// plistTypes are the keys of launchd.plist(5) that are used, with the element
// that each wants.
var plistTypes = map[string]string{
	"Label": "string", "ProgramArguments": "array", "EnvironmentVariables": "dict", "RunAtLoad": "true", "KeepAlive": "true",
	"Umask": "integer", "ProcessType": "string", "ExitTimeOut": "integer", "StandardErrorPath": "string",
}

// element is a part of a property list.
type element struct {
	XMLName xml.Name
	Text    string    `xml:",chardata"`
	Inner   []element `xml:",any"`
}

// TestLaunchdIsAPropertyList reads the file as launchd does: a dictionary of keys
// that it knows, each with a value of its type, whatever stands in the paths.
func TestLaunchdIsAPropertyList(t *testing.T) {
	b := background{call: []string{awkward, "run", "--data", "<d>&"}, env: [][2]string{{"HOME", awkward}, {"A&B", "]]>"}}}
	var list element
	if err := xml.Unmarshal(launchd("/Users/a & <b>", b, 501).text, &list); err != nil {
		t.Fatal(err)
	}
	if list.XMLName.Local != "plist" || len(list.Inner) != 1 || list.Inner[0].XMLName.Local != "dict" {
		t.Fatalf("not one dictionary: %+v", list)
	}
	values := func(e element) []string {
		var out []string
		for _, x := range e.Inner {
			out = append(out, x.XMLName.Local+" "+x.Text)
		}
		return out
	}
	dict := list.Inner[0].Inner
	seen := map[string]element{}
	for i := 0; i+1 < len(dict); i += 2 {
		key, value := dict[i], dict[i+1]
		if key.XMLName.Local != "key" || plistTypes[key.Text] != value.XMLName.Local {
			t.Errorf("%s %q has a <%s>", key.XMLName.Local, key.Text, value.XMLName.Local)
		}
		seen[key.Text] = value
	}
	if len(dict)%2 != 0 || len(seen) != len(plistTypes) {
		t.Errorf("%d elements, %d keys", len(dict), len(seen))
	}
	if diff := cmp.Diff([]string{"string " + awkward, "string run", "string --data", "string <d>&"}, values(seen["ProgramArguments"])); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"key HOME", "string " + awkward, "key A&B", "string ]]>"}, values(seen["EnvironmentVariables"])); diff != "" {
		t.Error(diff)
	}
}
