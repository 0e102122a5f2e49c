package host

import (
	"context"
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// Cluster is what a station knows of the stations, itself among them. One that is
// in no cluster is its own leader.
type Cluster struct {
	Leader  id.Station // that decides for the cluster; empty where there is none now
	Members []Member   // by their ids
}

// Member is one station of a cluster.
type Member struct {
	Station   id.Station
	URL       string // where its HTTP API answers; empty of the station itself, whose transports know it
	Version   string // of the station binary
	Active    bool   // whether it is heard of
	Heartbeat time.Time
	CPU       float64 // percent of its machine's processors in use
	Memory    float64 // percent of its machine's memory in use
	Objects   int     // in service
}

func (c *client) Metrics(ctx context.Context) ([]byte, error) {
	m, err := c.c.Metrics(ctx, &pb.Empty{})
	if err != nil {
		return nil, err
	}
	return shim.Bytes(m.GetText()), nil
}

func (c *client) Cluster(ctx context.Context) (Cluster, error) {
	m, err := c.c.Cluster(ctx, &pb.Empty{})
	if err != nil {
		return Cluster{}, err
	}
	return decodeCluster(m), nil
}

func (s *server) Metrics(ctx context.Context, _ *pb.Empty) (*pb.HostMetrics, error) {
	text, err := s.h.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.HostMetrics{Text: text}, nil
}

func (s *server) Cluster(ctx context.Context, _ *pb.Empty) (*pb.HostCluster, error) {
	c, err := s.h.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	return encodeCluster(c), nil
}

func encodeCluster(c Cluster) *pb.HostCluster {
	m := &pb.HostCluster{Leader: string(c.Leader)}
	for _, o := range c.Members {
		m.Members = append(m.Members, &pb.HostMember{
			Station: string(o.Station), Url: []byte(o.URL), Version: []byte(o.Version), Active: o.Active,
			HeartbeatUs: shim.Micro(o.Heartbeat), Cpu: o.CPU, Memory: o.Memory, Objects: int64(o.Objects),
		})
	}
	return m
}

func decodeCluster(m *pb.HostCluster) Cluster {
	c := Cluster{Leader: id.Station(m.GetLeader())}
	for _, o := range m.GetMembers() {
		c.Members = append(c.Members, Member{
			Station: id.Station(o.GetStation()), URL: string(o.GetUrl()), Version: string(o.GetVersion()), Active: o.GetActive(),
			Heartbeat: shim.FromMicro(o.GetHeartbeatUs()), CPU: o.GetCpu(), Memory: o.GetMemory(), Objects: int(o.GetObjects()),
		})
	}
	return c
}
