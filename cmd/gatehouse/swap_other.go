//go:build !linux

package main

import (
	"errors"
	"os"
)

// swapFolders puts fresh in the place of data and returns where the former
// folder is. A crash between the two steps leaves both under other names.
func swapFolders(fresh, data string) (before string, err error) {
	before = formerName(data)
	if err := os.Remove(fresh + "/" + halfDone); err != nil {
		return "", err
	}
	return before, errors.Join(os.Rename(data, before), os.Rename(fresh, data))
}
