//! Three members whose every link can be cut, each direction by itself.

use std::net::{Ipv4Addr, SocketAddr};

use crate::relay::Relays;
use crate::support::Cluster;
use crate::support::cluster::free_ports;

/// How many members there are.
pub const MEMBERS: usize = 3;
/// How many sets of ports are tried: between choosing a port and binding it, somebody else may take
/// it.
const PORT_TRIES: usize = 5;

/// A cluster and the relays between its members.
pub struct Linked {
    pub cluster: Cluster,
    relays: Relays,
}

impl Linked {
    /// Starts three members that know each other by the addresses of relays.
    pub async fn start() -> Linked {
        for _ in 0..PORT_TRIES {
            let ports = free_ports(2 * MEMBERS);
            let address = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            let peers = ports[MEMBERS..].iter().map(address).collect::<Vec<_>>();
            let relays = Relays::start(&peers).await.expect("start the relays");
            let routes = |from: usize| {
                let others = (0..MEMBERS).filter(move |&to| to != from);
                let route = |to| format!("--peer-route=n{}={}", to + 1, relays.route(from, to));
                others.map(route).collect::<Vec<_>>()
            };
            let mut cluster = Cluster::spawn(&ports, &mut |i| routes(i));
            match cluster.until_ready().await {
                Ok(()) => return Linked { cluster, relays },
                Err(log) if log.to_lowercase().contains("address already in use") => {}
                Err(log) => panic!("a member ended while it was starting; its log:\n{log}"),
            }
        }
        panic!("no free ports in {PORT_TRIES} tries");
    }

    /// Cuts or heals what `from` says to `to`.
    pub fn set_cut(&self, from: usize, to: usize, cut: bool) {
        self.relays.set_cut(from, to, cut);
    }
}
