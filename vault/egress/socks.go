package egress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// The numbers of SOCKS 5, RFC 1928 and 1929.
const (
	socksVersion  = 5
	socksNoLogin  = 0
	socksPassword = 2
	socksConnect  = 1
	socksIPv4     = 1
	socksName     = 3
	socksIPv6     = 4
)

// socks5 asks a SOCKS proxy for a connection. Names are sent as names.
func socks5(conn net.Conn, host string, port uint16, login string) error {
	if len(host) > 255 {
		return errors.New("the name of the host has more than 255 bytes")
	}
	method := byte(socksNoLogin)
	if login != "" {
		method = socksPassword
	}
	if _, err := conn.Write([]byte{socksVersion, 1, method}); err != nil {
		return err
	}
	var chosen [2]byte
	if _, err := io.ReadFull(conn, chosen[:]); err != nil {
		return err
	}
	if chosen != [2]byte{socksVersion, method} {
		return errors.New("it wants another way to log in")
	}
	if method == socksPassword {
		if err := socksLogin(conn, login); err != nil {
			return err
		}
	}
	ask := append([]byte{socksVersion, socksConnect, 0, socksName, byte(len(host))}, host...) //nolint:gosec // at most 255
	if ip := net.ParseIP(host); ip.To4() != nil {
		ask = append([]byte{socksVersion, socksConnect, 0, socksIPv4}, ip.To4()...)
	} else if ip != nil {
		ask = append([]byte{socksVersion, socksConnect, 0, socksIPv6}, ip...)
	}
	if _, err := conn.Write(binary.BigEndian.AppendUint16(ask, port)); err != nil {
		return err
	}
	return socksAnswer(conn)
}

func socksLogin(conn net.Conn, login string) error {
	user, password, _ := strings.Cut(login, ":")
	if len(user) == 0 || len(user) > 255 || len(password) > 255 {
		return errors.New("its login is not user:password of at most 255 bytes each")
	}
	ask := append([]byte{1, byte(len(user))}, user...)          //nolint:gosec // at most 255
	ask = append(append(ask, byte(len(password))), password...) //nolint:gosec // as above
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return errors.New("it refused the login")
	}
	return nil
}

// socksAnswer reads the answer, and the address in it, which matters to nobody.
func socksAnswer(conn net.Conn) error {
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if head[0] != socksVersion || head[1] != 0 {
		return fmt.Errorf("it answered with code %d", head[1])
	}
	rest := map[byte]int{socksIPv4: 3, socksIPv6: 15, socksName: int(head[4])}[head[3]] + 2
	_, err := io.CopyN(io.Discard, conn, int64(rest))
	return err
}
