//! Directed graphs of up to some hundred million edges, and the two questions that judges ask of them.
//!
//! Nodes are numbers, and every edge carries a label of 32 bits that means something to the judge alone (a kind of
//! dependency, a place where the reason is found). Edges lie in one array sorted by source (compressed rows), so that a walk
//! touches memory in order. Nothing here recurses: histories are long, stacks are short.

use std::collections::VecDeque;

/// An edge as it is collected: source, target, label.
pub(crate) type Edge = (u32, u32, u32);

/// A step of a path: the label that was followed, and where it led.
pub(crate) type Step = (u32, u32);

/// A directed graph in compressed rows. Parallel edges and loops are allowed.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Row `n` is `steps[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    steps: Vec<Step>,
}

impl Graph {
    /// Sorts the edges by source (counting sort; edges of one source keep their order).
    pub(crate) fn new(nodes: usize, edges: &[Edge]) -> Graph {
        assert!(edges.len() < u32::MAX as usize);
        assert!(nodes < u32::MAX as usize);
        let mut starts = vec![0u32; nodes + 1];
        for &(from, _, _) in edges {
            starts[from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut steps = vec![(0, 0); edges.len()];
        for &(from, to, label) in edges {
            let place = &mut next[from as usize];
            steps[*place as usize] = (label, to);
            *place += 1;
        }
        Graph { starts, steps }
    }

    /// The number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The steps that leave a node.
    pub(crate) fn from(&self, node: u32) -> &[Step] {
        let node = node as usize;
        &self.steps[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    /// The strongly connected components that hold a cycle (two nodes, or a loop) along allowed labels, by Tarjan's algorithm
    /// (SIAM J. Comput. 1972) with a stack of our own. Nodes of a component are sorted; components come in reverse
    /// topological order.
    pub(crate) fn cycles(&self, allow: impl Fn(u32) -> bool) -> Vec<Vec<u32>> {
        let mut tarjan = Tarjan {
            graph: self,
            allow,
            index: vec![0; self.nodes()],
            low: vec![0; self.nodes()],
            next: 1,
            open: Vec::new(),
            path: Vec::new(),
            found: Vec::new(),
        };
        for node in 0..self.nodes() as u32 {
            tarjan.explore(node);
        }
        tarjan.found
    }

    /// A shortest walk from `start` to `goal` by breadth-first search, as steps; the walk has at least one step, so that `start == goal`
    /// asks for a shortest cycle. `advance` is a small automaton over labels: from a state (below `states`) and a label to the next
    /// state, or `None` where the step is not allowed; `accept` says which states may end the walk. `budget` counts steps looked at
    /// over all calls; when it is used up the answer is `None`, and it reads 0.
    pub(crate) fn walk(
        &self,
        (start, state): (u32, u8),
        goal: u32,
        states: u8,
        advance: impl Fn(u8, u32) -> Option<u8>,
        accept: impl Fn(u8) -> bool,
        scratch: &mut Scratch,
        budget: &mut u64,
    ) -> Option<Vec<Step>> {
        scratch.reset(self.nodes() * states as usize);
        let key = |node: u32, state: u8| node as usize * states as usize + state as usize;
        scratch.queue.push_back((start, state));
        while let Some((node, state)) = scratch.queue.pop_front() {
            for &(label, to) in self.from(node) {
                if *budget == 0 {
                    return None;
                }
                *budget -= 1;
                let Some(next) = advance(state, label) else { continue };
                if to == goal && accept(next) {
                    return Some(scratch.unwind(key(node, state), (label, to)));
                }
                if scratch.seen(key(to, next)) {
                    continue;
                }
                scratch.mark(key(to, next), key(node, state), (label, to));
                scratch.queue.push_back((to, next));
            }
        }
        None
    }
}

/// What searches leave behind and use again, so that thousands of small searches in a large graph stay small.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    round: u32,
    marks: Vec<u32>,
    parents: Vec<(u32, Step)>,
    queue: VecDeque<(u32, u8)>,
}

/// The parent of what was reached in the first step.
const ROOT: u32 = u32::MAX;

impl Scratch {
    fn reset(&mut self, size: usize) {
        if self.marks.len() < size || self.round == u32::MAX {
            self.marks = vec![0; size];
            self.parents = vec![(ROOT, (0, 0)); size];
            self.round = 0;
        }
        self.round += 1;
        self.queue.clear();
    }

    fn seen(&self, at: usize) -> bool {
        self.marks[at] == self.round
    }

    /// The node where the walk begins is not marked, since it may be met again: what is reached from it has the root as parent.
    fn mark(&mut self, at: usize, parent: usize, step: Step) {
        let parent = if self.seen(parent) { parent as u32 } else { ROOT };
        self.marks[at] = self.round;
        self.parents[at] = (parent, step);
    }

    /// The steps from the root over `from`, and then `last`.
    fn unwind(&self, from: usize, last: Step) -> Vec<Step> {
        let mut steps = vec![last];
        let mut at = from;
        while self.seen(at) {
            let (parent, step) = self.parents[at];
            steps.push(step);
            if parent == ROOT {
                break;
            }
            at = parent as usize;
        }
        steps.reverse();
        steps
    }
}

struct Tarjan<'a, F> {
    graph: &'a Graph,
    allow: F,
    /// 0: not visited. `u32::MAX`: its component is done.
    index: Vec<u32>,
    low: Vec<u32>,
    next: u32,
    open: Vec<u32>,
    /// The path of the depth-first search: node, and which of its steps comes next.
    path: Vec<(u32, u32)>,
    found: Vec<Vec<u32>>,
}

impl<F: Fn(u32) -> bool> Tarjan<'_, F> {
    fn explore(&mut self, root: u32) {
        if self.index[root as usize] != 0 {
            return;
        }
        self.enter(root);
        while let Some((node, place)) = self.path.last_mut() {
            let (node, steps) = (*node, self.graph.from(*node));
            let Some(&(label, to)) = steps.get(*place as usize) else {
                self.path.pop();
                self.leave(node);
                continue;
            };
            *place += 1;
            if !(self.allow)(label) {
                continue;
            }
            let index = self.index[to as usize];
            if index == 0 {
                self.enter(to);
            } else if index != u32::MAX {
                let low = &mut self.low[node as usize];
                *low = (*low).min(index);
            }
        }
    }

    fn enter(&mut self, node: u32) {
        self.index[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next += 1;
        self.open.push(node);
        self.path.push((node, 0));
    }

    fn leave(&mut self, node: u32) {
        let low = self.low[node as usize];
        if let Some((parent, _)) = self.path.last() {
            let above = &mut self.low[*parent as usize];
            *above = (*above).min(low);
        }
        if low != self.index[node as usize] {
            return;
        }
        let first = self.open.iter().rposition(|open| *open == node).expect("it is open");
        for member in &self.open[first..] {
            self.index[*member as usize] = u32::MAX;
        }
        let single = self.open.len() - first == 1;
        let cyclic = !single
            || self.graph.from(node).iter().any(|(label, to)| *to == node && (self.allow)(*label));
        if cyclic {
            let mut members = self.open.split_off(first);
            members.sort_unstable();
            self.found.push(members);
        } else {
            self.open.truncate(first);
        }
    }
}
