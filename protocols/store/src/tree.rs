//! A persistent ordered map of bytes: what makes [`MemEngine`](crate::MemEngine)'s views cheap.
//!
//! A B+ tree whose nodes are shared by reference count. Taking a copy of the whole map is copying
//! one pointer; a write copies the nodes on its path that somebody else still holds and changes
//! the others in place. Leaves that run empty are dropped; half-full ones are not merged, which
//! costs memory after mass deletes and keeps the code short.

use bytes::Bytes;
use std::sync::Arc;

/// Entries of a node before it splits. Small, since the first write to a node after a view was taken
/// copies it, and copying an entry touches the memory of its key and its value.
const WIDTH: usize = 16;

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<(Bytes, Bytes)>),
    /// Each child with a lower bound of its keys; the first bound is never looked at.
    Inner(Vec<(Bytes, Arc<Node>)>),
}

/// The map.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: Arc<Node>,
}

fn child_of(children: &[(Bytes, Arc<Node>)], key: &[u8]) -> usize {
    children[1..].partition_point(|(bound, _)| bound[..] <= *key)
}

impl Tree {
    pub fn new() -> Tree {
        Tree { root: Arc::new(Node::Leaf(Vec::new())) }
    }

    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Inner(children) => node = &children[child_of(children, key)].1,
                Node::Leaf(pairs) => {
                    let at = pairs.binary_search_by(|(k, _)| k[..].cmp(key)).ok()?;
                    return Some(&pairs[at].1);
                }
            }
        }
    }

    pub fn insert(&mut self, key: &[u8], value: Bytes) {
        if let Some((bound, right)) = insert_into(Arc::make_mut(&mut self.root), key, value) {
            let left = self.root.clone();
            self.root = Arc::new(Node::Inner(vec![(Bytes::new(), left), (bound, right)]));
        }
    }

    pub fn remove(&mut self, key: &[u8]) {
        if self.get(key).is_none() {
            return; // Nothing is copied for a delete of nothing.
        }
        remove_from(Arc::make_mut(&mut self.root), key);
        while let Node::Inner(children) = &*self.root {
            match children.len() {
                0 => self.root = Arc::new(Node::Leaf(Vec::new())),
                1 => self.root = children[0].1.clone(),
                _more => break,
            }
        }
    }

    /// The leaf where `key` belongs, and the bounds of that leaf (`None` is no bound).
    fn leaf(&self, key: &[u8]) -> (&[(Bytes, Bytes)], Option<&Bytes>, Option<&Bytes>) {
        let (mut node, mut low, mut high) = (&self.root, None, None);
        loop {
            match &**node {
                Node::Leaf(pairs) => return (pairs, low, high),
                Node::Inner(children) => {
                    let at = child_of(children, key);
                    if at > 0 {
                        low = Some(&children[at].0);
                    }
                    if let Some((bound, _)) = children.get(at + 1) {
                        high = Some(bound);
                    }
                    node = &children[at].1;
                }
            }
        }
    }

    /// The leaf that ends where another begins: the one with the greatest keys below `bound`.
    fn leaf_below(&self, bound: Option<&[u8]>) -> (&[(Bytes, Bytes)], Option<&Bytes>) {
        let (mut node, mut low) = (&self.root, None);
        loop {
            match &**node {
                Node::Leaf(pairs) => return (pairs, low),
                Node::Inner(children) => {
                    let at = match bound {
                        None => children.len() - 1,
                        Some(bound) => children[1..].partition_point(|(b, _)| b[..] < *bound),
                    };
                    if at > 0 {
                        low = Some(&children[at].0);
                    }
                    node = &children[at].1;
                }
            }
        }
    }

    pub fn range<'a>(&'a self, from: &[u8], to: Option<&[u8]>) -> Walk<'a> {
        let (pairs, _, high) = self.leaf(from);
        let start = pairs.partition_point(|(key, _)| key[..] < *from);
        let (back_pairs, low) = self.leaf_below(to);
        let end = match to {
            None => back_pairs.len(),
            Some(to) => back_pairs.partition_point(|(key, _)| key[..] < *to),
        };
        let empty = to.is_some_and(|to| to <= from);
        Walk {
            tree: self,
            front: &pairs[start..],
            front_next: high,
            back: &back_pairs[..end],
            back_next: low,
            floor: Bytes::copy_from_slice(from),
            given: false,
            ceiling: to.map(Bytes::copy_from_slice),
            done: empty,
        }
    }
}

fn insert_into(node: &mut Node, key: &[u8], value: Bytes) -> Option<(Bytes, Arc<Node>)> {
    match node {
        Node::Leaf(pairs) => {
            match pairs.binary_search_by(|(k, _)| k[..].cmp(key)) {
                Ok(at) => pairs[at].1 = value,
                Err(at) => pairs.insert(at, (Bytes::copy_from_slice(key), value)),
            }
            if pairs.len() <= WIDTH {
                return None;
            }
            // Ascending writes (logs, bulk loads) leave full leaves behind instead of half ones.
            let cut = if pairs[WIDTH].0[..] == *key { WIDTH } else { WIDTH / 2 };
            let right = pairs.split_off(cut);
            Some((right[0].0.clone(), Arc::new(Node::Leaf(right))))
        }
        Node::Inner(children) => {
            let at = child_of(children, key);
            let split = insert_into(Arc::make_mut(&mut children[at].1), key, value)?;
            children.insert(at + 1, split);
            if children.len() <= WIDTH {
                return None;
            }
            let cut = if at + 1 == WIDTH { WIDTH - 1 } else { WIDTH / 2 };
            let right = children.split_off(cut);
            Some((right[0].0.clone(), Arc::new(Node::Inner(right))))
        }
    }
}

/// Removes a key that is there; true when the node is empty now.
fn remove_from(node: &mut Node, key: &[u8]) -> bool {
    match node {
        Node::Leaf(pairs) => {
            let at = pairs.binary_search_by(|(k, _)| k[..].cmp(key)).expect("looked up before");
            pairs.remove(at);
            pairs.is_empty()
        }
        Node::Inner(children) => {
            let at = child_of(children, key);
            if remove_from(Arc::make_mut(&mut children[at].1), key) {
                children.remove(at);
            }
            children.is_empty()
        }
    }
}

/// A walk over a range from both ends: one descent per leaf, not per pair.
pub(crate) struct Walk<'a> {
    tree: &'a Tree,
    front: &'a [(Bytes, Bytes)],
    front_next: Option<&'a Bytes>,
    back: &'a [(Bytes, Bytes)],
    back_next: Option<&'a Bytes>,
    /// The range begins here, or this key was the last given from the front.
    floor: Bytes,
    /// True when `floor` itself was given.
    given: bool,
    /// Keys from this on were given from the back, or lie after the range.
    ceiling: Option<Bytes>,
    done: bool,
}

impl Iterator for Walk<'_> {
    type Item = (Bytes, Bytes);

    fn next(&mut self) -> Option<(Bytes, Bytes)> {
        while !self.done {
            if let Some(((key, value), rest)) = self.front.split_first() {
                if self.ceiling.as_ref().is_some_and(|ceiling| key >= ceiling) {
                    self.done = true;
                    return None;
                }
                self.front = rest;
                (self.floor, self.given) = (key.clone(), true);
                return Some((key.clone(), value.clone()));
            }
            let Some(bound) = self.front_next else { break };
            let (pairs, _, high) = self.tree.leaf(bound);
            (self.front, self.front_next) = (pairs, high);
        }
        self.done = true;
        None
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<(Bytes, Bytes)> {
        while !self.done {
            if let Some(((key, value), rest)) = self.back.split_last() {
                if key < &self.floor || (self.given && key == &self.floor) {
                    self.done = true;
                    return None;
                }
                self.back = rest;
                self.ceiling = Some(key.clone());
                return Some((key.clone(), value.clone()));
            }
            let Some(bound) = self.back_next else { break };
            let (pairs, low) = self.tree.leaf_below(Some(bound));
            (self.back, self.back_next) = (pairs, low);
        }
        self.done = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::Dice;
    use std::collections::BTreeMap;

    fn key(dice: &mut Dice) -> Vec<u8> {
        (0..dice.below(3) + 1).map(|_| dice.below(20) as u8).collect()
    }

    /// Walks both maps with the same rolls, from both ends at once.
    fn assert_same_walk(tree: &Tree, model: &BTreeMap<Vec<u8>, Vec<u8>>, dice: &mut Dice) {
        let (from, to) = (key(dice), dice.chance(700_000).then(|| key(dice)));
        let mut walk = tree.range(&from, to.as_deref());
        let mut expected: std::collections::VecDeque<_> = model
            .iter()
            .filter(|(k, _)| **k >= from && to.as_ref().is_none_or(|to| *k < to))
            .collect();
        loop {
            let (pair, want) = match dice.chance(500_000) {
                true => (walk.next(), expected.pop_front()),
                false => (walk.next_back(), expected.pop_back()),
            };
            let pair = pair.map(|(k, v)| (k.to_vec(), v.to_vec()));
            assert_eq!(pair, want.map(|(k, v)| (k.clone(), v.clone())));
            if want.is_none() {
                break;
            }
        }
        assert!(walk.next().is_none() && walk.next_back().is_none());
    }

    #[test]
    fn it_agrees_with_a_plain_map_and_old_copies_do_not_change() {
        let mut dice = Dice::new(11);
        let (mut tree, mut model) = (Tree::new(), BTreeMap::new());
        let mut copies = Vec::new();
        for step in 0..30_000u64 {
            let k = key(&mut dice);
            // Alternate between growing and shrinking, down to nothing.
            let grow = if (step / 6_000) % 2 == 0 { 700_000 } else { 100_000 };
            if dice.chance(grow) {
                let value = step.to_be_bytes().to_vec();
                tree.insert(&k, value.clone().into());
                model.insert(k, value);
            } else {
                tree.remove(&k);
                model.remove(&k);
            }
            if step % 500 == 0 {
                copies.push((tree.clone(), model.clone()));
                assert_same_walk(&tree, &model, &mut dice);
            }
        }
        for (tree, model) in &copies {
            assert_same_walk(tree, model, &mut dice);
            for k in model.keys() {
                assert_eq!(tree.get(k).map(|v| v.to_vec()).as_ref(), model.get(k));
            }
        }
    }
}
