// Package failpoint kills the process at named places, so that tests can prove
// what survives there. In an ordinary build [Hit] is empty; built with the tag
// failpoint, the process kills itself with SIGKILL at the place that the
// environment names:
//
//	GATEHOUSE_FAILPOINT=settle.before-commit     the first time
//	GATEHOUSE_FAILPOINT=settle.before-commit:17  the seventeenth time
//
// The names are a closed set: tests walk [Names] and so cover every place.
package failpoint

// Env is the environment variable that arms a failpoint.
const Env = "GATEHOUSE_FAILPOINT"

// Name is a place at which the process can die.
type Name string

// The places. Before a commit, everything has been written and nothing is
// durable; after it, everything is durable and nobody has been told.
const (
	PublishBeforeCommit Name = "publish.before-commit"
	PublishAfterCommit  Name = "publish.after-commit"
	LeaseBeforeCommit   Name = "lease.before-commit"
	LeaseAfterCommit    Name = "lease.after-commit"
	HoldBeforeCommit    Name = "hold.before-commit"
	HoldAfterCommit     Name = "hold.after-commit"
	SettleBeforeCommit  Name = "settle.before-commit"
	SettleAfterCommit   Name = "settle.after-commit"

	SendBefore    Name = "send.before"       // delivery: the part is marked as sending, the platform has not been called
	SendAfter     Name = "send.after"        // delivery: the platform has answered, nothing is recorded
	AcceptAfter   Name = "accept.after"      // an adapter: accepted, the platform not acknowledged
	TurnBefore    Name = "turn.before-model" // a turn: about to call the model
	TurnAfter     Name = "turn.after-model"  // a turn: answered, nothing settled
	DraftAfter    Name = "draft.after-send"  // delivery: the first draft is out, its ref is not kept
	JournalBefore Name = "journal.before"    // a tool: journalled, not called
	JournalAfter  Name = "journal.after"     // a tool: called, its result not journalled

	RestoreUnpacked Name = "vault.restore-unpacked" // a restore: the backup is beside the data folder, which is untouched
	RestoreSwapped  Name = "vault.restore-swapped"  // a restore: the backup is in the folder's place, the older database is not accepted yet

	KeyRenewed   Name = "vault.key-renewed"   // the vault: the new key stands beside the old one, nothing is locked with it
	KeyRelocked  Name = "vault.key-relocked"  // the vault: everything is locked with the new key, the old one still stands
	DataKeyed    Name = "vault.data-keyed"    // the vault: a workspace has a new data key, its secrets are under the old one
	DataResealed Name = "vault.data-resealed" // the vault: some secrets are under the new data key, some under the old one

	LeaveStep   Name = "leave.step"   // a member is out: one thing more of what is to be ended or erased is done
	ShredStep   Name = "shred.step"   // a workspace is ending: one thing more of it is gone
	ContentStep Name = "content.step" // stored content: some more of it is in the form that is wanted

	BlobBefore Name = "blob.before-name" // a file: written whole under another name
	BlobAfter  Name = "blob.after-name"  // a file: kept, and nothing refers to it yet
)

// Names lists every failpoint.
func Names() []Name {
	return []Name{
		PublishBeforeCommit, PublishAfterCommit,
		LeaseBeforeCommit, LeaseAfterCommit,
		HoldBeforeCommit, HoldAfterCommit,
		SettleBeforeCommit, SettleAfterCommit,
		SendBefore, SendAfter, AcceptAfter, TurnBefore, TurnAfter, DraftAfter, JournalBefore, JournalAfter,
		KeyRenewed, KeyRelocked, DataKeyed, DataResealed, RestoreUnpacked, RestoreSwapped,
		BlobBefore, BlobAfter, LeaveStep, ShredStep, ContentStep,
	}
}
