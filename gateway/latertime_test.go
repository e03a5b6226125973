package gateway_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine may have no zones of its own

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/gateway"
)

func berlin(t testing.TB) *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestParseLater(t *testing.T) {
	now := time.Date(2026, 11, 18, 14, 5, 0, 0, berlin(t)) // a Wednesday
	for args, want := range map[string]string{
		// Spans.
		"2h look":                         "Wed 2026-11-18 16:05 CET look",
		"in 90m look there":               "Wed 2026-11-18 15:35 CET look there",
		"every 1d look":                   "every 24h0m0s from Thu 2026-11-19 14:05 CET look",
		"Every 1w2d look":                 "every 216h0m0s from Fri 2026-11-27 14:05 CET look",
		"1h30m  two  words":               "Wed 2026-11-18 15:35 CET two  words",
		"1m look":                         "Wed 2026-11-18 14:06 CET look",
		"400d look":                       "Thu 2027-12-23 14:05 CET look",
		"":                                gateway.LaterHow,
		"2h":                              gateway.LaterWhat,
		"look":                            gateway.LaterHow,
		"0m look":                         gateway.LaterHow,
		"30s look":                        gateway.LaterHow,
		"every 59m look":                  gateway.LaterSoon,
		"every 1h look":                   "every 1h0m0s from Wed 2026-11-18 15:05 CET look",
		"401d look":                       gateway.LaterFar,
		"99999w look":                     gateway.LaterHow,
		"-2h look":                        gateway.LaterHow,
		"2 h look":                        gateway.LaterHow,
		"h look":                          gateway.LaterHow,
		"in":                              gateway.LaterHow,
		"every":                           gateway.LaterHow,
		"every 9:00 look":                 gateway.LaterHow,
		"1m " + strings.Repeat("x", 4000): "Wed 2026-11-18 14:06 CET " + strings.Repeat("x", 4000),
		"1m " + strings.Repeat("x", 4001): gateway.LaterLong,
		// Times of day.
		"18:30 look":                    "Wed 2026-11-18 18:30 CET look",
		"at 18:30 look":                 "Wed 2026-11-18 18:30 CET look",
		"9:00 look":                     "Thu 2026-11-19 09:00 CET look",
		"09:00 look":                    "Thu 2026-11-19 09:00 CET look",
		"14:05 look":                    "Thu 2026-11-19 14:05 CET look",
		"9am look":                      "Thu 2026-11-19 09:00 CET look",
		"6:30PM look":                   "Wed 2026-11-18 18:30 CET look",
		"12am look":                     "Thu 2026-11-19 00:00 CET look",
		"24:00 look":                    gateway.LaterHow,
		"9 look":                        gateway.LaterHow,
		"9:00":                          gateway.LaterWhat,
		"today 18:30 look":              "Wed 2026-11-18 18:30 CET look",
		"today 9:00 look":               gateway.LaterPast,
		"Tomorrow 9:00\nlook":           "Thu 2026-11-19 09:00 CET look",
		"tomorrow at 9:00 look":         "Thu 2026-11-19 09:00 CET look",
		"tomorrow look":                 gateway.LaterClock,
		"tomorrow":                      gateway.LaterClock,
		"wednesday 18:30 look":          "Wed 2026-11-18 18:30 CET look",
		"wed 9:00 look":                 "Wed 2026-11-25 09:00 CET look",
		"on Thursday 9:00 look":         "Thu 2026-11-19 09:00 CET look",
		"tue 9am look":                  "Tue 2026-11-24 09:00 CET look",
		"sun 23:59 look":                "Sun 2026-11-22 23:59 CET look",
		"th 9:00 look":                  gateway.LaterHow,
		"2026-12-01 09:00 look":         "Tue 2026-12-01 09:00 CET look",
		"2026-11-18 09:00 look":         gateway.LaterPast,
		"2027-02-29 09:00 look":         gateway.LaterNoDay,
		"2026-13-01 09:00 look":         gateway.LaterNoDay,
		"2029-01-01 09:00 look":         gateway.LaterFar,
		"2026-12-01 look":               gateway.LaterClock,
		"1.12.2026 09:00 look":          gateway.LaterHow,
		"18:30 UTC look":                "Wed 2026-11-18 18:30 UTC look",
		"18:30 Asia/Tokyo look":         "Thu 2026-11-19 18:30 JST look",
		"tomorrow 1:00 Asia/Tokyo look": "Thu 2026-11-19 01:00 JST look",
		"18:30 and/or look":             "Wed 2026-11-18 18:30 CET and/or look",
		"18:30 ../../x look":            "Wed 2026-11-18 18:30 CET ../../x look",
		"18:30 UTC":                     gateway.LaterWhat,
	} {
		if got := gateway.ParseLater(args, now); got != want {
			t.Errorf("%.40q: %.200q, want %.200q", args, got, want)
		}
	}
}

// Clocks are put forward over 02:00 to 03:00 on 28 March 2027 in Berlin, and back
// over it on 31 October 2027.
func TestParseLaterWhereClocksAreChanged(t *testing.T) {
	zone := berlin(t)
	for _, test := range []struct {
		name, args, want string
		now              time.Time
	}{
		{"the day before", "tomorrow 9:00 x", "Sun 2027-03-28 09:00 CEST x", time.Date(2027, 3, 27, 9, 0, 0, 0, zone)},
		{"over the change", "9:00 x", "Sun 2027-03-28 09:00 CEST x", time.Date(2027, 3, 27, 9, 0, 0, 0, zone)},
		{"a day is no 24 hours", "1d x", "Sun 2027-03-28 10:00 CEST x", time.Date(2027, 3, 27, 9, 0, 0, 0, zone)},
		{"a time that is left out", "tomorrow 2:30 x", "Sun 2027-03-28 03:30 CEST x", time.Date(2027, 3, 27, 9, 0, 0, 0, zone)},
		{"the last before it", "tomorrow 1:59 x", "Sun 2027-03-28 01:59 CET x", time.Date(2027, 3, 27, 9, 0, 0, 0, zone)},
		{"the first after it", "tomorrow 3:00 x", "Sun 2027-03-28 03:00 CEST x", time.Date(2027, 3, 27, 9, 0, 0, 0, zone)},
		{"a time that comes twice", "tomorrow 2:30 x", "Sun 2027-10-31 02:30 CEST x", time.Date(2027, 10, 30, 9, 0, 0, 0, zone)},
		{"after both", "tomorrow 3:00 x", "Sun 2027-10-31 03:00 CET x", time.Date(2027, 10, 30, 9, 0, 0, 0, zone)},
		{"midnight of that day", "tomorrow 0:00 x", "Sun 2027-10-31 00:00 CEST x", time.Date(2027, 10, 30, 9, 0, 0, 0, zone)},
		{"a week over it", "sun 9:00 x", "Sun 2027-10-31 09:00 CET x", time.Date(2027, 10, 24, 9, 0, 0, 0, zone)},
	} {
		if got := gateway.ParseLater(test.args, test.now); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// Whatever the zone and the moment, a time of day without a day comes within 25
// hours, and clocks show it then, unless they are put forward over it.
func TestParseLaterFindsTheNextTime(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "now"), 0).In(zone)
		clock := time.Unix(rapid.Int64Range(0, 86399).Draw(t, "clock"), 0).UTC().Format("15:04")
		due, text := gateway.LaterDue(clock+" x", now)
		if text != "x" || !due.After(now) || due.Sub(now) > 25*time.Hour {
			t.Errorf("%s at %s: %s", clock, now, due)
		}
		shown := due.Format("15:04")
		_, before := due.Add(-2 * time.Hour).Zone()
		_, after := due.Add(2 * time.Hour).Zone()
		if shown != clock && after <= before {
			t.Errorf("%s at %s: %s", clock, now, due)
		}
	})
}

func FuzzParseLater(f *testing.F) {
	for _, s := range []string{"2h look", "every 1w2d x", "in 5m y", "999999999w z", "1h1h1h", "tomorrow 9:00 x", "fri 9pm UTC y", "2026-12-01 09:00 x"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 18, 14, 5, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, args string) {
		due, text := gateway.LaterDue(args, now)
		if text != "" && (!due.After(now) || due.Sub(now) > 400*24*time.Hour) {
			t.Errorf("%q: %s", args, due)
		}
	})
}
