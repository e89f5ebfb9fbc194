//! Arrays of sorted keys that are searched without touching the keys, and a tree of them.
//!
//! A search in a tree of byte strings spends its time waiting for memory: each comparison follows a
//! pointer to a key that no cache holds. Here each array keeps, beside its keys, the sixteen bytes
//! of each that follow the prefix that all of them share. Those heads lie side by side, so a binary
//! search reads a few neighbouring cache lines and then looks at one or two real keys to make sure
//! ("head truncation" and "poor man's normalized keys": Graefe, "Modern B-Tree Techniques", 2011,
//! sections 3.3 and 3.5).
//!
//! The [`Tree`] has three levels below the first byte of the key: a root of branches, branches of
//! leaves, leaves of values. A root grows as it must: with arrays of [`FANOUT`] it has some hundred
//! branches for a million keys. Nothing is ever removed; a tree goes as a whole.

use bytes::Bytes;

/// Elements of an array before it is split.
const FANOUT: usize = 64;

/// Keys in ascending order, each with a value.
struct Sorted<V> {
    /// How many first bytes all keys have in common, or fewer.
    shared: usize,
    heads: Vec<u128>,
    keys: Vec<Bytes>,
    values: Vec<V>,
}

/// The sixteen bytes after the first `shared`, as a number that sorts as they do. Short keys are
/// filled up with zeros, so different keys may have the same head.
fn head(key: &[u8], shared: usize) -> u128 {
    let rest = &key[shared.min(key.len())..];
    match rest.first_chunk() {
        Some(head) => u128::from_be_bytes(*head),
        None => {
            let mut head = [0; 16];
            head[..rest.len()].copy_from_slice(rest);
            u128::from_be_bytes(head)
        }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl<V> Sorted<V> {
    fn new() -> Sorted<V> {
        Sorted { shared: 0, heads: Vec::new(), keys: Vec::new(), values: Vec::new() }
    }

    fn of_one(key: Bytes, value: V) -> Sorted<V> {
        let mut sorted = Sorted::new();
        sorted.insert(0, key, value);
        sorted
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    /// Where a key is, or where it would have to be.
    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let wanted = head(key, self.shared);
        let mut at = self.heads.partition_point(|head| *head < wanted);
        if self.heads.get(at) == Some(&wanted) {
            let ties = self.heads[at..].partition_point(|head| *head == wanted);
            at += self.keys[at..at + ties].partition_point(|tied| tied[..] < *key);
        }
        // The heads speak only for keys that share the prefix: the neighbours tell whether it does.
        let after_left = at == 0 || self.keys[at - 1][..] < *key;
        let right = self.keys.get(at);
        if after_left && right.is_none_or(|right| right[..] >= *key) {
            return if right.is_some_and(|right| right[..] == *key) { Ok(at) } else { Err(at) };
        }
        self.keys.binary_search_by(|probe| probe[..].cmp(key))
    }

    /// The element that is responsible for a key when elements reach from their key to the next.
    fn covering(&self, key: &[u8]) -> usize {
        match self.search(key) {
            Ok(at) => at,
            Err(at) => at.saturating_sub(1),
        }
    }

    fn insert(&mut self, at: usize, key: Bytes, value: V) {
        self.admit(&key);
        self.heads.insert(at, head(&key, self.shared));
        self.keys.insert(at, key);
        self.values.insert(at, value);
    }

    /// Makes the shared prefix one of this key too.
    fn admit(&mut self, key: &[u8]) {
        match self.keys.first() {
            None => self.shared = key.len(),
            Some(any) => {
                let shared = common_prefix(&any[..self.shared], key);
                if shared < self.shared {
                    self.share(shared);
                }
            }
        }
    }

    /// Lets the first element reach down to a smaller key.
    fn reach_down(&mut self, key: &Bytes) {
        if key < &self.keys[0] {
            self.admit(key);
            self.heads[0] = head(key, self.shared);
            self.keys[0] = key.clone();
        }
    }

    fn share(&mut self, shared: usize) {
        self.shared = shared;
        let heads = self.keys.iter().map(|key| head(key, shared));
        self.heads = heads.collect();
    }

    /// Splits a full array whose newest element is at `newest`; gives the upper part. Keys that
    /// come in order leave full arrays behind them.
    fn split(&mut self, newest: usize) -> Option<(Bytes, Sorted<V>)> {
        if self.len() <= FANOUT {
            return None;
        }
        let at = if newest + 1 == self.len() { newest } else { self.len() / 2 };
        let mut upper = Sorted {
            shared: 0,
            heads: Vec::new(),
            keys: self.keys.split_off(at),
            values: self.values.split_off(at),
        };
        upper.tighten();
        self.tighten();
        Some((upper.keys[0].clone(), upper))
    }

    /// Takes the longest prefix that there is.
    fn tighten(&mut self) {
        let (first, last) = (&self.keys[0], &self.keys[self.len() - 1]);
        self.share(common_prefix(first, last));
    }
}

type Leaf<V> = Sorted<V>;
type Branch<V> = Sorted<Leaf<V>>;
type Root<V> = Sorted<Branch<V>>;

/// The keys that begin with the same byte.
struct Space<V> {
    first: u8,
    root: Root<V>,
}

/// An ordered map from byte strings, none of them empty, that only grows.
pub(super) struct Tree<V> {
    spaces: Vec<Space<V>>,
}

/// A place in a tree: space, branch, leaf, element. The element may be one past its leaf's last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    space: usize,
    branch: usize,
    leaf: usize,
    at: usize,
}

impl<V> Tree<V> {
    pub fn new() -> Tree<V> {
        Tree { spaces: Vec::new() }
    }

    /// Where a key is, or where it would have to be.
    fn find(&self, key: &[u8]) -> Result<Place, Place> {
        let found = self.spaces.binary_search_by_key(&key.first().copied(), |s| Some(s.first));
        let space = match found {
            Ok(space) => space,
            Err(space) => return Err(Place { space, branch: 0, leaf: 0, at: 0 }),
        };
        let root = &self.spaces[space].root;
        let branch = root.covering(key);
        let leaves = &root.values[branch];
        let leaf = leaves.covering(key);
        let place = |at| Place { space, branch, leaf, at };
        leaves.values[leaf].search(key).map(place).map_err(place)
    }

    pub fn get(&self, key: &[u8]) -> Option<&V> {
        let place = self.find(key).ok()?;
        Some(&self.leaf(place)?.values[place.at])
    }

    /// Changes the value of a key, or adds the key with a value.
    pub fn upsert<C>(
        &mut self,
        key: Bytes,
        context: C,
        change: impl FnOnce(&mut V, C),
        fresh: impl FnOnce(C) -> V,
    ) {
        match self.find(&key) {
            Ok(place) => {
                let branch = &mut self.spaces[place.space].root.values[place.branch];
                change(&mut branch.values[place.leaf].values[place.at], context);
            }
            Err(place) => self.insert(place, key, fresh(context)),
        }
    }

    fn insert(&mut self, place: Place, key: Bytes, value: V) {
        let first = key[0];
        if self.spaces.get(place.space).is_none_or(|space| space.first != first) {
            let leaf = Leaf::of_one(key.clone(), value);
            let root = Root::of_one(key.clone(), Branch::of_one(key, leaf));
            return self.spaces.insert(place.space, Space { first, root });
        }
        let root = &mut self.spaces[place.space].root;
        root.reach_down(&key);
        let branch = &mut root.values[place.branch];
        branch.reach_down(&key);
        let leaf = &mut branch.values[place.leaf];
        leaf.insert(place.at, key, value);
        let Some((fence, upper)) = leaf.split(place.at) else { return };
        branch.insert(place.leaf + 1, fence, upper);
        let Some((fence, upper)) = branch.split(place.leaf + 1) else { return };
        root.insert(place.branch + 1, fence, upper);
    }

    fn leaf(&self, place: Place) -> Option<&Leaf<V>> {
        let branch = self.spaces.get(place.space)?.root.values.get(place.branch)?;
        branch.values.get(place.leaf)
    }

    /// The first place of the leaf after this place's.
    fn next_leaf(&self, place: Place) -> Option<Place> {
        let Place { space, branch, leaf, .. } = place;
        let root = &self.spaces.get(space)?.root;
        let next = if leaf + 1 < root.values[branch].len() {
            Place { space, branch, leaf: leaf + 1, at: 0 }
        } else if branch + 1 < root.len() {
            Place { space, branch: branch + 1, leaf: 0, at: 0 }
        } else {
            Place { space: space + 1, branch: 0, leaf: 0, at: 0 }
        };
        (next.space < self.spaces.len()).then_some(next)
    }

    /// The place after the last element of the leaf before this place's.
    fn previous_leaf(&self, place: Place) -> Option<Place> {
        let Place { space, branch, leaf, .. } = place;
        let end = |space: usize, branch: usize, leaf: usize| {
            let at = self.spaces[space].root.values[branch].values[leaf].len();
            Some(Place { space, branch, leaf, at })
        };
        if leaf > 0 {
            return end(space, branch, leaf - 1);
        }
        let (space, branch) = match branch {
            0 => (space.checked_sub(1)?, None),
            _ => (space, Some(branch - 1)),
        };
        let root = &self.spaces[space].root;
        let branch = branch.unwrap_or(root.len() - 1);
        end(space, branch, root.values[branch].len() - 1)
    }

    /// The elements from a key on that lie side by side with the first of them: what is left of its
    /// leaf. Empty only at the end of the tree.
    pub fn run_from(&self, key: &[u8], inclusive: bool) -> impl Iterator<Item = (&Bytes, &V)> {
        let place = match self.find(key) {
            Ok(place) => Place { at: place.at + usize::from(!inclusive), ..place },
            Err(place) => place,
        };
        let short = self.leaf(place).is_none_or(|leaf| place.at >= leaf.len());
        let place = if short { self.next_leaf(place) } else { Some(place) };
        let rest = place.and_then(|place| Some((self.leaf(place)?, place.at)));
        rest.into_iter().flat_map(|(leaf, at)| leaf.keys[at..].iter().zip(&leaf.values[at..]))
    }

    /// The elements before a key, or before the end, that lie side by side with the last of them,
    /// backwards. Empty only at the beginning of the tree.
    pub fn run_before(&self, key: Option<&[u8]>) -> impl Iterator<Item = (&Bytes, &V)> {
        let end = Place { space: self.spaces.len(), branch: 0, leaf: 0, at: 0 };
        let place = key.map_or(end, |key| self.find(key).unwrap_or_else(|place| place));
        let place = if place.at == 0 { self.previous_leaf(place) } else { Some(place) };
        let rest = place.and_then(|place| Some((self.leaf(place)?, place.at)));
        rest.into_iter().flat_map(|(leaf, at)| leaf.keys[..at].iter().zip(&leaf.values[..at]).rev())
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &V)> {
        let branches = self.spaces.iter().flat_map(|space| &space.root.values);
        let leaves = branches.flat_map(|branch| &branch.values);
        leaves.flat_map(|leaf| leaf.keys.iter().zip(&leaf.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::Dice;
    use std::collections::BTreeMap;
    use std::ops::Bound;

    /// Keys with long shared prefixes, keys that are prefixes of others, zero bytes, all lengths.
    fn random_key(dice: &mut Dice) -> Vec<u8> {
        let mut key = match dice.below(5) {
            0 => b"registry/pods/namespace-with-a-long-name/".to_vec(),
            1 => b"registry/pods/".to_vec(),
            2 => vec![0x12],
            _ => vec![dice.below(4) as u8],
        };
        let alphabet = [0, 0, 1, b'a', b'b', 0xff];
        let tail = dice.below(20);
        key.extend((0..tail).map(|_| alphabet[dice.below(6) as usize]));
        key
    }

    fn check(tree: &Tree<u64>, model: &BTreeMap<Vec<u8>, u64>, dice: &mut Dice) {
        let all: Vec<_> = tree.iter().map(|(key, value)| (key.to_vec(), *value)).collect();
        assert!(model.iter().map(|(key, value)| (key.clone(), *value)).eq(all));
        for _ in 0..300 {
            let key = random_key(dice);
            assert_eq!(tree.get(&key), model.get(&key), "{key:?}");
            for inclusive in [false, true] {
                let from = if inclusive { Bound::Included(&key) } else { Bound::Excluded(&key) };
                let mut run = tree.run_from(&key, inclusive).peekable();
                let mut expected = model.range::<Vec<u8>, _>((from, Bound::<&Vec<u8>>::Unbounded));
                assert_eq!(run.peek().is_some(), expected.clone().next().is_some());
                for (found, value) in run {
                    assert_eq!(expected.next(), Some((&found.to_vec(), value)));
                }
            }
            let before = if dice.below(10) == 0 { None } else { Some(key) };
            let to = before.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut expected = model.range::<Vec<u8>, _>((Bound::<&Vec<u8>>::Unbounded, to)).rev();
            let mut run = tree.run_before(before.as_deref()).peekable();
            assert_eq!(run.peek().is_some(), expected.clone().next().is_some());
            for (found, value) in run {
                assert_eq!(expected.next(), Some((&found.to_vec(), value)));
            }
        }
    }

    #[test]
    fn a_tree_is_an_ordered_map() {
        for seed in 0..12 {
            let mut dice = Dice::new(seed);
            let (mut tree, mut model) = (Tree::new(), BTreeMap::new());
            check(&tree, &model, &mut dice);
            for round in 0..12_000_u64 {
                let key = match dice.below(3) {
                    // A counter: keys that come in order.
                    0 => [b"\x12rev".as_slice(), &round.to_be_bytes()].concat(),
                    _ => random_key(&mut dice),
                };
                let value = model.entry(key.clone()).or_insert(0);
                *value += round;
                tree.upsert(Bytes::from(key), round, |value, by| *value += by, |by| by);
                if round.is_power_of_two() {
                    check(&tree, &model, &mut dice);
                }
            }
            check(&tree, &model, &mut dice);
        }
    }

    #[test]
    fn keys_in_order_fill_their_arrays() {
        let mut tree = Tree::new();
        for n in 0..100_000_u64 {
            let key = [b"\x12".as_slice(), &n.to_be_bytes()].concat();
            tree.upsert(Bytes::from(key), n, |_, _| panic!("each key comes once"), |n| n);
        }
        let leaves = tree.spaces[0].root.values.iter().map(Sorted::len).sum::<usize>();
        assert!(leaves <= 100_000 / FANOUT + 1, "{leaves} leaves");
    }
}
