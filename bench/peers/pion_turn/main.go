// The current pion/turn as `python -m bench turn` measures it: one UDP listener, one TLS listener if it gets a
// certificate, one user, nothing logged. It prints its version and its ports as one JSON line and runs until stdin ends.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"runtime/debug"

	"github.com/pion/turn/v5"
)

func main() {
	host := flag.String("host", "", "address to listen and to relay at")
	realm := flag.String("realm", "", "realm")
	username := flag.String("username", "", "the one user")
	password := flag.String("password", "", "its password")
	certificate := flag.String("certificate", "", "PEM file; empty: no TLS listener")
	key := flag.String("key", "", "PEM file")
	flag.Parse()

	packets, err := net.ListenPacket("udp4", net.JoinHostPort(*host, "0"))
	check(err)
	relay := &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(*host), Address: *host}
	ready := map[string]any{"version": version(), "udp": port(packets.LocalAddr())}
	config := turn.ServerConfig{
		Realm:             *realm,
		AuthHandler:       only(*username, turn.GenerateAuthKey(*username, *realm, *password)),
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: packets, RelayAddressGenerator: relay}},
	}
	if *certificate != "" {
		listener := listenTLS(*host, *certificate, *key)
		ready["tls"] = port(listener.Addr())
		config.ListenerConfigs = []turn.ListenerConfig{{Listener: listener, RelayAddressGenerator: relay}}
	}
	server, err := turn.NewServer(config)
	check(err)
	check(json.NewEncoder(os.Stdout).Encode(ready))
	_, err = io.Copy(io.Discard, os.Stdin)
	check(err)
	check(server.Close())
}

func only(username string, key []byte) turn.AuthHandler {
	return func(request *turn.RequestAttributes) (string, []byte, bool) {
		return username, key, request.Username == username
	}
}

func listenTLS(host, certificate, key string) net.Listener {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	check(err)
	listener, err := tls.Listen("tcp4", net.JoinHostPort(host, "0"), &tls.Config{Certificates: []tls.Certificate{pair}})
	check(err)
	return listener
}

func port(address net.Addr) int {
	switch address := address.(type) {
	case *net.UDPAddr:
		return address.Port
	case *net.TCPAddr:
		return address.Port
	}
	return 0
}

// version is that of the module as it was linked.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == "github.com/pion/turn/v5" {
			return module.Version
		}
	}
	return ""
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
