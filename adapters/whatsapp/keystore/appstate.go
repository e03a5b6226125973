//go:build !nowhatsapp

package keystore

import (
	"context"
	"encoding/hex"

	"go.mau.fi/whatsmeow/store"
)

var (
	_ store.AppStateSyncKeyStore = (*Store)(nil)
	_ store.AppStateStore        = (*Store)(nil)
)

// The phone keeps its settings in an encrypted log on the server. The name that
// others see is in it, so it is followed.
const (
	syncKey    = Prefix + "sync/key/"
	syncLatest = Prefix + "sync/latest"
	syncAt     = Prefix + "sync/at/"
	syncMAC    = Prefix + "sync/mac/"
)

// PutAppStateSyncKey implements store.AppStateSyncKeyStore. A newer one with the
// same id wins.
func (s *Store) PutAppStateSyncKey(ctx context.Context, id []byte, key store.AppStateSyncKey) error {
	return s.together(ctx, func(ctx context.Context) error {
		old, err := s.GetAppStateSyncKey(ctx, id)
		if err != nil {
			return err
		}
		if old != nil && old.Timestamp >= key.Timestamp {
			return nil
		}
		if err := put(ctx, s, syncKey+hex.EncodeToString(id), key); err != nil {
			return err
		}
		type latest struct {
			ID []byte
			At int64
		}
		last, _, err := get[latest](ctx, s, syncLatest)
		if err != nil || last.At > key.Timestamp {
			return err
		}
		return put(ctx, s, syncLatest, latest{id, key.Timestamp})
	})
}

// GetAppStateSyncKey implements store.AppStateSyncKeyStore; nil when there is none.
func (s *Store) GetAppStateSyncKey(ctx context.Context, id []byte) (*store.AppStateSyncKey, error) {
	k, ok, err := get[store.AppStateSyncKey](ctx, s, syncKey+hex.EncodeToString(id))
	if err != nil || !ok {
		return nil, err
	}
	return &k, nil
}

// GetLatestAppStateSyncKeyID implements store.AppStateSyncKeyStore.
func (s *Store) GetLatestAppStateSyncKeyID(ctx context.Context) ([]byte, error) {
	last, _, err := get[struct{ ID []byte }](ctx, s, syncLatest)
	return last.ID, err
}

type version struct {
	N    uint64 `json:"n"`
	Hash []byte `json:"hash"`
}

// PutAppStateVersion implements store.AppStateStore.
func (s *Store) PutAppStateVersion(ctx context.Context, name string, n uint64, hash [128]byte) error {
	return put(ctx, s, syncAt+name, version{n, hash[:]})
}

// GetAppStateVersion implements store.AppStateStore; zero when there is none.
func (s *Store) GetAppStateVersion(ctx context.Context, name string) (n uint64, hash [128]byte, err error) {
	v, _, err := get[version](ctx, s, syncAt+name)
	copy(hash[:], v.Hash)
	return v.N, hash, err
}

// DeleteAppStateVersion implements store.AppStateStore; what was read with it goes, too.
func (s *Store) DeleteAppStateVersion(ctx context.Context, name string) error {
	return s.together(ctx, func(ctx context.Context) error {
		if err := s.write(ctx, syncAt+name, nil); err != nil {
			return err
		}
		return s.removeAll(ctx, syncMAC+name+"/")
	})
}

func macKey(name string, index []byte) string {
	return syncMAC + name + "/" + hex.EncodeToString(index)
}

// PutAppStateMutationMACs implements store.AppStateStore, in one commit.
func (s *Store) PutAppStateMutationMACs(ctx context.Context, name string, _ uint64, mutations []store.AppStateMutationMAC) error {
	return s.together(ctx, func(ctx context.Context) error {
		for _, m := range mutations {
			if err := s.write(ctx, macKey(name, m.IndexMAC), m.ValueMAC); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteAppStateMutationMACs implements store.AppStateStore, in one commit.
func (s *Store) DeleteAppStateMutationMACs(ctx context.Context, name string, indexMACs [][]byte) error {
	return s.together(ctx, func(ctx context.Context) error {
		for _, i := range indexMACs {
			if err := s.write(ctx, macKey(name, i), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// GetAppStateMutationMAC implements store.AppStateStore; nil when there is none.
func (s *Store) GetAppStateMutationMAC(ctx context.Context, name string, indexMAC []byte) ([]byte, error) {
	return s.read(ctx, macKey(name, indexMAC))
}
