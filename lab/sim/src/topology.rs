//! Who is wired to whom, and what follows from it.
//!
//! Protocols address any node; a message to one that is not a neighbour is routed over the shortest
//! path and takes a delay for each hop, as in any network of forwarding machines. What matters of a
//! topology is how far apart its nodes are (the diameter bounds how fast news can travel) and how
//! many of them must fail to split it (the vertex connectivity, by Menger's theorem the least
//! number of vertex-disjoint paths over all pairs; agreement among liars needs more than twice as
//! many as there are liars: Dolev, "The Byzantine Generals Strike Again", 1982).

use petgraph::algo::ford_fulkerson;
use petgraph::graph::{NodeIndex, UnGraph};
use petgraph::visit::Bfs;
use quorate_base::{Dice, NodeId};
use std::collections::BTreeSet;
use std::fmt;

/// The wires. Nodes are numbered from 1; wires go both ways.
#[derive(Clone, Debug)]
pub struct Topology {
    graph: UnGraph<(), ()>,
    /// Hops between any two nodes; `None` where there is no way.
    hops: Vec<Vec<Option<u32>>>,
}

/// A file that does not describe a topology.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadTopology {
    /// The line, counted from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for BadTopology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for BadTopology {}

/// The most nodes of a topology: all pairs of hops are kept.
pub const MOST_NODES: u64 = 2_000;

impl Topology {
    /// Wires between pairs of numbers from 1 to `nodes`.
    ///
    /// # Panics
    /// When an end is not among them, or there are more than [`MOST_NODES`].
    pub fn from_edges(nodes: u64, edges: impl IntoIterator<Item = (u64, u64)>) -> Topology {
        assert!((1..=MOST_NODES).contains(&nodes), "a topology of {nodes} nodes");
        let mut graph = UnGraph::new_undirected();
        (0..nodes).for_each(|_| {
            graph.add_node(());
        });
        let wanted: BTreeSet<(u64, u64)> =
            edges.into_iter().filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).collect();
        for (a, b) in wanted {
            assert!(a >= 1 && b <= nodes, "no wire can join {a} and {b} of {nodes}");
            graph.add_edge(place(a), place(b), ());
        }
        let hops = graph.node_indices().map(|from| distances(&graph, from)).collect();
        Topology { graph, hops }
    }

    /// Everybody with everybody.
    pub fn mesh(nodes: u64) -> Topology {
        Topology::from_edges(nodes, (1..=nodes).flat_map(|a| (a + 1..=nodes).map(move |b| (a, b))))
    }

    /// Each with the next, the last with the first.
    pub fn ring(nodes: u64) -> Topology {
        Topology::from_edges(nodes, (1..=nodes).map(|a| (a, a % nodes + 1)))
    }

    /// The first with everybody.
    pub fn star(nodes: u64) -> Topology {
        Topology::from_edges(nodes, (2..=nodes).map(|b| (1, b)))
    }

    /// Node 1 is the root; each node has up to `fanout` children.
    pub fn tree(nodes: u64, fanout: u64) -> Topology {
        assert!(fanout > 0, "a tree without children");
        Topology::from_edges(nodes, (2..=nodes).map(|b| ((b - 2) / fanout + 1, b)))
    }

    /// A random connected graph: a random tree, and each further wire with a chance in a million.
    pub fn random(nodes: u64, per_million: u32, dice: &mut Dice) -> Topology {
        let mut edges: Vec<(u64, u64)> = (2..=nodes).map(|b| (1 + dice.below(b - 1), b)).collect();
        for a in 1..=nodes {
            for b in a + 1..=nodes {
                if dice.chance(per_million) {
                    edges.push((a, b));
                }
            }
        }
        Topology::from_edges(nodes, edges)
    }

    /// From a text: a wire per line as two numbers, `#` begins a comment. The greatest number is
    /// the number of nodes.
    ///
    /// # Errors
    /// The first line that is not two different numbers from 1 to [`MOST_NODES`].
    pub fn parse(text: &str) -> Result<Topology, BadTopology> {
        let mut edges = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let numbers: Vec<Option<u64>> =
                line.split_whitespace().map(|word| word.parse().ok()).collect();
            match numbers[..] {
                [Some(a), Some(b)]
                    if a != b && (1..=MOST_NODES).contains(&a) && (1..=MOST_NODES).contains(&b) =>
                {
                    edges.push((a, b));
                }
                [..] => {
                    let why = format!("{line:?} is not two numbers from 1 to {MOST_NODES}");
                    return Err(BadTopology { line: at + 1, why });
                }
            }
        }
        match edges.iter().map(|(a, b)| *a.max(b)).max() {
            Some(nodes) => Ok(Topology::from_edges(nodes, edges)),
            None => Err(BadTopology { line: 0, why: "there is no wire in it".into() }),
        }
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> u64 {
        self.graph.node_count() as u64
    }

    /// Hops on the shortest way; `None` when there is none.
    pub fn hops(&self, from: NodeId, to: NodeId) -> Option<u32> {
        self.hops[from.0 as usize - 1][to.0 as usize - 1]
    }

    /// True when a wire joins the two.
    pub fn joins(&self, a: NodeId, b: NodeId) -> bool {
        self.hops(a, b) == Some(1)
    }

    /// The longest shortest way; `None` when some node cannot be reached.
    pub fn diameter(&self) -> Option<u32> {
        let all: Option<Vec<u32>> = self.hops.iter().flatten().copied().collect();
        all?.into_iter().max()
    }

    /// The least number of nodes whose removal splits the rest or leaves one: `nodes - 1` for a
    /// mesh, 0 when it is split already.
    ///
    /// By Menger's theorem, a maximum flow in the graph in which each node is split in two joined
    /// by a wire of capacity one, for every pair that no wire joins.
    pub fn vertex_connectivity(&self) -> u64 {
        let nodes = self.nodes();
        let mut least = nodes - 1;
        for a in 1..=nodes {
            for b in a + 1..=nodes {
                if !self.joins(NodeId(a), NodeId(b)) {
                    least = least.min(self.disjoint_paths(a, b));
                }
            }
        }
        least
    }

    fn disjoint_paths(&self, from: u64, to: u64) -> u64 {
        let mut split = petgraph::graph::DiGraph::<(), u64>::new();
        let ends: Vec<_> =
            (0..self.nodes()).map(|_| (split.add_node(()), split.add_node(()))).collect();
        for (enter, leave) in &ends {
            split.add_edge(*enter, *leave, 1);
        }
        for edge in self.graph.edge_indices() {
            let (a, b) = self.graph.edge_endpoints(edge).expect("an edge has ends");
            let (a, b) = (ends[a.index()], ends[b.index()]);
            split.add_edge(a.1, b.0, self.nodes());
            split.add_edge(b.1, a.0, self.nodes());
        }
        let (from, to) = (ends[from as usize - 1].1, ends[to as usize - 1].0);
        ford_fulkerson(&split, from, to).0
    }
}

fn place(number: u64) -> NodeIndex {
    NodeIndex::new(number as usize - 1)
}

fn distances(graph: &UnGraph<(), ()>, from: NodeIndex) -> Vec<Option<u32>> {
    let mut hops: Vec<Option<u32>> = vec![None; graph.node_count()];
    hops[from.index()] = Some(0);
    let mut search = Bfs::new(graph, from);
    while let Some(at) = search.next(graph) {
        let next = hops[at.index()].map(|hops| hops + 1);
        for neighbour in graph.neighbors(at) {
            let known = &mut hops[neighbour.index()];
            *known = known.or(next);
        }
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(topology: &Topology, diameter: Option<u32>, connectivity: u64) {
        assert_eq!(topology.diameter(), diameter);
        assert_eq!(topology.vertex_connectivity(), connectivity);
    }

    #[test]
    fn diameter_and_connectivity_of_the_known_shapes() {
        check(&Topology::mesh(5), Some(1), 4);
        check(&Topology::ring(8), Some(4), 2);
        check(&Topology::ring(3), Some(1), 2);
        check(&Topology::star(6), Some(2), 1);
        check(&Topology::tree(7, 2), Some(4), 1);
        check(&Topology::from_edges(4, [(1, 2), (3, 4)]), None, 0);
        check(&Topology::mesh(1), Some(0), 0);
        // The three-dimensional cube: each corner has three neighbours and nothing smaller splits it.
        let cube = (0..8u64).flat_map(|a| [1, 2, 4].map(|bit| (a + 1, (a ^ bit) + 1)));
        check(&Topology::from_edges(8, cube), Some(3), 3);
    }

    #[test]
    fn random_graphs_are_connected_whatever_the_dice_say() {
        for seed in 0..50 {
            let topology = Topology::random(12, 50_000, &mut Dice::new(seed));
            assert!(topology.diameter().is_some());
            assert!(topology.vertex_connectivity() >= 1);
        }
    }

    #[test]
    fn files_are_read_and_bad_lines_are_named() {
        let read = Topology::parse("# a triangle\n1 2\n2 3 # the last\n\n3 1\n").unwrap();
        check(&read, Some(1), 2);
        for (text, line) in [("1 2\n3", 2), ("1 1", 1), ("0 1", 1), ("a b", 1), ("", 0)] {
            assert_eq!(Topology::parse(text).unwrap_err().line, line, "{text:?}");
        }
    }
}
