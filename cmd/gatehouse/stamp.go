package main

import (
	"os"
	"time"
)

// stamp tells what a file was from what it is, without reading it. The time alone
// does not: an older file may be put in its place, and some file systems count in
// seconds.
type stamp struct {
	file os.FileInfo // nil: there is none
	at   time.Time
	size int64
}

func stampOf(path string) stamp {
	if path == "" {
		return stamp{}
	}
	i, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{file: i, at: i.ModTime(), size: i.Size()}
}

func (s stamp) same(o stamp) bool {
	if s.file == nil || o.file == nil {
		return s.file == nil && o.file == nil
	}
	return s.at.Equal(o.at) && s.size == o.size && os.SameFile(s.file, o.file)
}

// stamps are those of the files that make the running parts.
type stamps struct{ config, policy stamp }

func (s stamps) same(o stamps) bool { return s.config.same(o.config) && s.policy.same(o.policy) }
