package transporthttp

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// place is where a station answers. All is empty where nobody knows.
type place struct {
	Host string `json:"host"`
	Port int    `json:"port"`
	URL  string `json:"url"`
}

// placeOf gives where a member answers: this station itself at the address at
// which the request came, the others at the one that they told.
func (x *exchange) placeOf(m *host.Member) place {
	if m.Station != x.station {
		u, err := url.Parse(m.URL)
		if err != nil || m.URL == "" {
			return place{}
		}
		port, _ := strconv.Atoi(u.Port()) // 0 where the URL has none
		return place{u.Hostname(), port, m.URL}
	}
	at, ok := x.r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return place{} // a unix socket has no address that others could use
	}
	return place{at.IP.String(), at.Port, "http://" + net.JoinHostPort(at.IP.String(), strconv.Itoa(at.Port))}
}

type infoAnswer struct {
	Status   string     `json:"status"`
	Station  id.Station `json:"station_id"`
	IsMaster bool       `json:"is_master"`
	Role     string     `json:"role"`
	place
	Endpoint string `json:"cluster_endpoint"`
}

// clusterInfo answers /cluster/info.
func (x *exchange) clusterInfo(ctx context.Context, _ id.Object, _ args) error {
	x.neverKept()
	c, err := x.host.Cluster(ctx)
	if err != nil {
		return err
	}
	a := infoAnswer{Status: "ok", Station: x.station, IsMaster: c.Leader == x.station, Role: "station"}
	if a.IsMaster {
		a.Role = "master"
	}
	for i := range c.Members {
		if c.Members[i].Station == x.station {
			a.place = x.placeOf(&c.Members[i])
		}
	}
	if a.URL != "" {
		a.Endpoint = a.URL + "/cluster"
	}
	x.sendJSON(http.StatusOK, a)
	return nil
}

type memberRow struct {
	Station id.Station `json:"station_id"`
	place
	Heartbeat string     `json:"last_heartbeat"`
	Active    bool       `json:"is_active"`
	Version   string     `json:"version"`
	Metrics   memberLoad `json:"metrics"`
}

type memberLoad struct {
	CPU     float64 `json:"cpu_percent"`
	Memory  float64 `json:"memory_percent"`
	Objects int     `json:"object_count"`
}

type stationsAnswer struct {
	Status   string      `json:"status"`
	Station  id.Station  `json:"station_id"`
	IsMaster bool        `json:"is_master"`
	Stations []memberRow `json:"stations"`
	Count    int         `json:"count"`
	Active   int         `json:"active_count"`
}

// clusterStations answers /cluster/stations.
func (x *exchange) clusterStations(ctx context.Context, _ id.Object, _ args) error {
	x.neverKept()
	c, err := x.host.Cluster(ctx)
	if err != nil {
		return err
	}
	a := stationsAnswer{Status: "ok", Station: x.station, IsMaster: c.Leader == x.station, Stations: []memberRow{}, Count: len(c.Members)}
	for i := range c.Members {
		m := &c.Members[i]
		a.Stations = append(a.Stations, memberRow{
			m.Station, x.placeOf(m), timeOf(m.Heartbeat), m.Active, m.Version, memberLoad{m.CPU, m.Memory, m.Objects},
		})
		if m.Active {
			a.Active++
		}
	}
	x.sendJSON(http.StatusOK, a)
	return nil
}

// migrate answers POST /cluster/migrate.
func (x *exchange) migrate(context.Context, id.Object, args) error {
	return errs.New(errs.Conflict, "no_cluster", "This station is in no cluster: there is no other station to move an object to.")
}

// metricsType is that of Prometheus' text format.
var metricsType = []string{"text/plain; version=0.0.4; charset=utf-8"}

// metrics answers /metrics.
func (x *exchange) metrics(ctx context.Context, _ id.Object, _ args) error {
	x.neverKept()
	text, err := x.host.Metrics(ctx)
	if err != nil {
		return err
	}
	x.w.Header()["Content-Type"] = metricsType
	x.send(http.StatusOK, text)
	return nil
}
