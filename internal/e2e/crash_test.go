package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
)

// campaign is a crash test in one manner.
type campaign struct {
	chats, each  int // chats, and messages in each
	kills, terms int
	write        func(ctx context.Context, c *crash)
	queued       bool          // all is written before the gateway starts
	turns        int           // at a time
	model        time.Duration // the longest that the model takes for an answer while the gateway dies
	calm         time.Duration // the longest that the gateway may run between two ends
}

// manners are the three ways in which people write while the gateway dies.
func manners(chats, each, kills int) map[string]campaign {
	c := campaign{chats: chats, each: each, kills: kills, terms: kills, turns: 32, calm: 400 * time.Millisecond, model: time.Second}
	oneOpen, paced, backlog := c, c, c
	oneOpen.write, paced.write = writeOneOpen, writePaced
	backlog.write, backlog.queued, backlog.turns = writeAtOnce, true, 2
	return map[string]campaign{"one open": oneOpen, "paced": paced, "backlog": backlog}
}

// TestCrash is the short form: it shows that the gateway recovers, and finds
// gross mistakes.
func TestCrash(t *testing.T) {
	for name, c := range manners(10, 25, 4) {
		t.Run(name, func(t *testing.T) { c.run(t) })
	}
}

// TestSoakCrash is the whole form: in each manner 2,000 messages in 50 chats.
func TestSoakCrash(t *testing.T) {
	if os.Getenv("GATEHOUSE_SOAK") == "" {
		t.Skip("the crash test at full length runs with GATEHOUSE_SOAK=1 (make soak); TestCrash is its short form")
	}
	for name, c := range manners(50, 40, 30) {
		t.Run(name, func(t *testing.T) { c.run(t) })
	}
}

// seed is GATEHOUSE_SEED, or one of the moment. It is shown either way.
func seed(t testing.TB) uint64 {
	n, err := strconv.ParseUint(os.Getenv("GATEHOUSE_SEED"), 10, 64)
	if err != nil {
		n = uint64(time.Now().UnixNano()) % 1_000_000 //nolint:gosec // positive
	}
	t.Logf("GATEHOUSE_SEED=%d", n)
	return n
}

// crash is a campaign that runs.
type crash struct {
	campaign
	*rig
	watch  *watch
	people []*telegramtest.User
	rooms  []*telegramtest.Chat

	mu   sync.Mutex
	said ledger

	deaths   atomic.Int64 // so far
	rng      *rand.Rand   // of the moments; used by one goroutine
	killed   int          // while something was open
	termed   int
	left     remains // by the last process
	inFlight int     // sends under way at the kills
	hitAgain int     // of them repetitions, which are not sent a third time
}

func (c campaign) run(t *testing.T) {
	n := seed(t)
	slow := rand.New(rand.NewPCG(n, 1)) //nolint:gosec // repeatable on purpose
	var mu sync.Mutex
	x := &crash{campaign: c, said: ledger{}, rng: rand.New(rand.NewPCG(n, 2))} //nolint:gosec // repeatable on purpose
	x.rig = newRig(t, settings{
		agent: []string{fmt.Sprintf("max_turns: %d", c.turns)},
		script: func(r *agenttest.Request) agenttest.Answer {
			mu.Lock()
			defer mu.Unlock()
			a := agenttest.Echo(r)
			a.Text += closing
			longest := hasty
			if x.ahead() {
				longest = c.model
			}
			a.Delay = time.Duration(slow.Int64N(int64(longest)))
			return a
		},
	})
	x.bot.SetLatency(10*time.Millisecond, "sendMessage")
	x.watch = watching(t, x.bot)
	for i := range c.chats {
		u, room := x.person(int64(1001 + i))
		x.people, x.rooms = append(x.people, u), append(x.rooms, room)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	began := time.Now()
	var writing sync.WaitGroup
	if c.queued {
		c.write(ctx, x)
		writing.Go(func() { writeFrom(ctx, x, c.each) })
	} else {
		writing.Go(func() { c.write(ctx, x) })
	}
	x.torment(ctx)
	if x.killed != c.kills || x.termed != c.terms {
		t.Errorf("%d SIGKILL and %d SIGTERM came while something was open, want %d and %d", x.killed, x.termed, c.kills, c.terms)
	}
	x.up()
	writing.Wait()
	x.finish(ctx)
	x.report(time.Since(began))
}

// hasty is the longest that the model takes when the work is behind the dying.
const hasty = 100 * time.Millisecond

// ahead reports whether more of the work than of the dying is done. The model
// takes its time then, so that every death meets something that is open.
func (c *crash) ahead() bool {
	total, deaths := c.kills+c.terms, int(c.deaths.Load())
	return deaths < total && 5*c.watch.closed()*total > 4*deaths*c.chats*c.each
}

// mayWrite reports whether message i of a chat is due by the number of deaths,
// or because nothing is open: something new is said in each life.
func (c *crash) mayWrite(chat, i int) bool {
	total, deaths := c.kills+c.terms, int(c.deaths.Load())
	return deaths >= total || c.watch.open() == 0 || i < c.each && (i*c.chats+chat)*total <= (deaths+1)*c.each*c.chats
}

// goesOn reports whether message i of a chat is to be written: each writes what
// it has to, and more as long as the gateway dies.
func (c *crash) goesOn(i int) bool {
	return i < c.each || int(c.deaths.Load()) < c.kills+c.terms
}

// say writes message i of a chat.
func (c *crash) say(chat, i int) (text string) {
	text = fmt.Sprintf("message %03d from chat %02d, long enough to show a draft", i, chat)
	c.watch.done(text)
	c.mu.Lock()
	id := c.rooms[chat].ID()
	c.said[id] = append(c.said[id], text)
	c.mu.Unlock()
	c.rooms[chat].Say(c.people[chat], text)
	return text
}

// writeOneOpen: everybody waits for an answer before they write again.
func writeOneOpen(ctx context.Context, c *crash) {
	c.everybody(func(chat int) {
		for i := 0; c.goesOn(i); i++ {
			text := c.say(chat, i)
			select {
			case <-c.watch.done(text):
			case <-ctx.Done():
				return
			}
		}
	})
}

// writePaced: everybody writes at their own pace, answered or not, as long as
// the deaths take.
func writePaced(ctx context.Context, c *crash) { writeFrom(ctx, c, 0) }

// writeFrom writes in each chat from message first on, as they become due.
func writeFrom(ctx context.Context, c *crash, first int) {
	const pause = 20 * time.Millisecond
	c.everybody(func(chat int) {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for i := first; c.goesOn(i); {
			if c.mayWrite(chat, i) {
				c.say(chat, i)
				i++
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// writeAtOnce: everything has been written when the gateway comes. More comes
// only if it is done before the dying is.
func writeAtOnce(_ context.Context, c *crash) {
	c.everybody(func(chat int) {
		for i := range c.each {
			c.say(chat, i)
		}
	})
}

func (c *crash) everybody(do func(chat int)) {
	var all sync.WaitGroup
	for i := range c.chats {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// repeats is how long a gateway lives before it repeats what is in doubt.
const repeats = time.Second

// torment starts the gateway and ends it at random moments, until it has died
// as often as it should or nothing is left to do.
func (c *crash) torment(ctx context.Context) {
	deaths := make([]bool, c.kills+c.terms) // true: SIGKILL
	for i := range c.kills {
		deaths[i] = true
	}
	c.rng.Shuffle(len(deaths), func(i, j int) { deaths[i], deaths[j] = deaths[j], deaths[i] })
	for _, hard := range deaths {
		c.start()
		if c.rng.IntN(5) > 0 { // else it dies while it starts
			c.receiving(patience)
		}
		wait := time.Duration(c.rng.Int64N(int64(c.calm)))
		if c.rng.IntN(6) == 0 {
			wait += repeats // long enough that what is in doubt is repeated, and may be hit
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		open := eventually(patience, func() bool { return c.watch.open() > 0 || ctx.Err() != nil }) && ctx.Err() == nil
		if hard {
			c.kill()
		} else {
			c.term()
		}
		c.deaths.Add(1)
		c.count(hard, open)
	}
}

// count counts an end, and what it left.
func (c *crash) count(hard, open bool) {
	c.t.Helper()
	left := c.remains()
	sends, again := left.since(c.left)
	c.left = left
	switch {
	case hard && open:
		c.killed++
	case open:
		c.termed++
	}
	if hard {
		c.inFlight, c.hitAgain = c.inFlight+sends, c.hitAgain+again
	} else if sends > 0 {
		c.t.Errorf("an orderly end left %d sends under way", sends)
	}
}

// finish lets the running gateway come to rest and looks at what it leaves.
func (c *crash) finish(ctx context.Context) {
	rested := eventually(patience, func() bool { return c.watch.open() == 0 || ctx.Err() != nil })
	if !rested && c.hitAgain == 0 { // else somebody was told that nobody knows; judge decides
		c.t.Errorf("%d messages are still unanswered after %s without a crash", c.watch.open(), patience)
	}
	if !eventually(patience, func() bool { return c.bot.Pending() == 0 }) { // the next poll does it
		c.t.Errorf("at rest, %d updates are not acknowledged", c.bot.Pending())
	}
	c.term()
	if left := c.remains(); len(left.sends) != 0 || left.dead > c.hitAgain {
		c.t.Errorf("at rest, %d sends are under way and %d letters are dead; %d repetitions were hit", len(left.sends), left.dead, c.hitAgain)
	}
}

func (c *crash) report(took time.Duration) {
	f := judge(c.said, c.bot.Delivered())
	for i, fault := range f.Faults {
		if i == 20 {
			c.t.Errorf("... and %d more", len(f.Faults)-i)
			break
		}
		c.t.Error(fault)
	}
	if f.Repeated+f.Doubted > c.inFlight {
		c.t.Errorf("%d answers are marked as possible repetitions, but only %d sends were under way at the kills", f.Repeated+f.Doubted, c.inFlight)
	}
	if f.Told > c.hitAgain {
		c.t.Errorf("%d people were told that nobody knows, but only %d repetitions were under way at the kills", f.Told, c.hitAgain)
	}
	c.t.Logf("%d messages, %d turns (%d of them gathered), %d SIGKILL and %d SIGTERM while something was open, %d sends under way at the kills: "+
		"%d came twice, marked; %d once, marked; in %s",
		f.Said, f.Turns, f.Gathered, c.killed, c.termed, c.inFlight, f.Repeated, f.Doubted, took.Round(100*time.Millisecond))
}
