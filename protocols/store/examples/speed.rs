//! How fast the state machine is by itself: one thread, an engine in memory, no log, no network.
//! The first line takes an engine that costs nothing, so it is the state machine's own work.
//!
//! `cargo run --release -p quorate-store --example speed`

use bytes::Bytes;
use quorate_base::Dice;
use quorate_store::*;
use std::hint::black_box;

const KEYS: u64 = 100_000;
const BATCH: u64 = 64;

fn key(number: u64) -> Bytes {
    format!("/registry/pods/namespace-{:03}/pod-{number:08}", number % 500).into()
}

/// Nanoseconds that this thread has spent on a processor: what others do on the machine meanwhile
/// does not count.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().expect("three numbers").parse().expect("a number")
}

/// Runs `work` for `0..count` and says what one took.
fn measure(name: &str, count: u64, mut work: impl FnMut(u64)) {
    let start = processor_time();
    (0..count).for_each(&mut work);
    let each = (processor_time() - start) as f64 / count as f64;
    println!("{name:<44} {each:>9.0} ns each {:>11.0} per second", 1e9 / each);
}

/// An engine in which every key exists with the same record, and writes go nowhere.
#[derive(Clone)]
struct Sink(Option<Bytes>);

impl EngineRead for Sink {
    fn get(&self, _key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.clone())
    }

    fn range<'a>(
        &'a self,
        _from: &[u8],
        _to: Option<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + 'a> {
        Box::new(std::iter::empty())
    }
}

impl Engine for Sink {
    type View = Sink;

    fn put(&mut self, key: &[u8], value: &[u8]) {
        black_box((key, value));
    }

    fn delete(&mut self, key: &[u8]) {
        black_box(key);
    }

    fn publish(&mut self, _mark: u64) -> Result<Sink, EngineError> {
        Ok(self.clone())
    }

    fn request_sync(&mut self) {}

    fn synced(&self) -> u64 {
        0
    }
}

fn own_work(value: &Bytes) {
    let mut record = vec![0; 36];
    record[19] = 1;
    record.extend_from_slice(value);
    let mut store = Applier::open(Sink(None), Options::default()).unwrap();
    let keys: Vec<Bytes> = (0..100).map(key).collect();
    let mut apply = |at: u64| {
        let id = OpId { origin: 7, seq: at + 1, floor: at.saturating_sub(1_000) };
        let command = Command::new(id, put(keys[at as usize % 100].clone(), value));
        black_box(store.apply(at + 1, 1, Some(&command))).unwrap();
        if at == 99 {
            // All are born: from now on every put finds the key.
            store.engine_mut().0 = Some(Bytes::copy_from_slice(&record));
        }
        if at.is_multiple_of(BATCH) {
            black_box(store.publish()).unwrap();
        }
    };
    (0..100).for_each(&mut apply);
    measure("put, the state machine alone", 1_000_000, |at| apply(at + 100));
}

struct Bench {
    store: Applier<MemEngine>,
    ring: Ring<Bytes>,
    view: View<MemView>,
    seq: u64,
}

impl Bench {
    fn run(&mut self, action: Action) {
        let index = self.store.applied().0 + 1;
        self.seq += 1;
        let id = OpId { origin: 7, seq: self.seq, floor: self.seq.saturating_sub(1_000) };
        let outcome = self.store.apply(index, 1, Some(&Command::new(id, action))).unwrap().unwrap();
        black_box(outcome.result.unwrap());
        if index.is_multiple_of(BATCH) {
            self.publish();
        }
    }

    fn publish(&mut self) {
        let published = self.store.publish().unwrap();
        self.ring.push(&published.events, &published.unlisted, |event| event.kv.value.clone());
        self.view = published.view;
        self.store.engine_mut().request_sync();
    }
}

fn put(key: Bytes, value: &Bytes) -> Action {
    Action::Put(Put { key, value: value.clone(), ..Put::default() })
}

fn main() {
    let mut store = Applier::open(MemEngine::new(), Options::default()).unwrap();
    let view = store.publish().unwrap().view;
    let ring = Ring::after(view.revision(), 64 << 20);
    let mut bench = Bench { store, ring, view, seq: 0 };
    let value = Bytes::from(vec![b'x'; 256]);
    let mut dice = Dice::new(1);
    let keys: Vec<Bytes> = (0..KEYS).map(key).collect();
    let mut any = move || keys[dice.below(KEYS) as usize].clone();

    println!("{KEYS} keys of {} bytes, values of 256 bytes, batches of {BATCH}", key(0).len());
    own_work(&value);
    measure("put, new keys in order", KEYS, |at| bench.run(put(key(at), &value)));
    measure("put, overwriting at random", 300_000, |_| bench.run(put(any(), &value)));
    measure("put if mod revision matches (txn)", 100_000, |_| {
        let key = any();
        let range = KeyRange::single(key.clone());
        let result = CompareResult::Greater;
        let compare = Compare { range, result, target: CompareTarget::Mod(0) };
        let put = Put { key, value: value.clone(), ..Put::default() };
        let success = vec![TxnOp::Put(put)];
        bench.run(Action::Txn(Txn { compares: vec![compare], success, failure: vec![] }));
    });
    bench.publish();
    let view = bench.view.clone();
    measure("get", 500_000, |_| {
        black_box(view.range(&Range { range: KeyRange::single(any()), ..Range::default() }))
            .unwrap();
    });
    measure("range, limit 100 of a large range", 20_000, |_| {
        let range = KeyRange { key: any(), end: Bytes::from_static(b"\0") };
        black_box(view.range(&Range { range, limit: 100, ..Range::default() })).unwrap();
    });
    measure("range of 200 by prefix", 10_000, |at| {
        let range = KeyRange::prefix(format!("/registry/pods/namespace-{:03}/", at % 500));
        assert_eq!(view.range(&Range { range, ..Range::default() }).unwrap().count, 200);
    });
    measure("count of half of all", 20_000, |_| {
        let range = KeyRange { key: any(), end: Bytes::from_static(b"\0") };
        let ask = Range { range, count_only: true, ..Range::default() };
        black_box(view.range(&ask)).unwrap();
    });
    let old = view.revision() - 1_000;
    measure("range, limit 100, 1,000 revisions ago", 5_000, |_| {
        let range = KeyRange { key: any(), end: Bytes::from_static(b"\0") };
        black_box(view.range(&Range { range, limit: 100, revision: old, ..Range::default() }))
            .unwrap();
    });
    measure("watch, 10,000 revisions from the ring", 10, |_| {
        let watch = Watch { range: KeyRange::all(), ..Watch::default() };
        let mut cursor = Cursor::new(watch, view.revision() - 9_999, view.revision());
        let encode = |event: &Event| event.kv.value.clone();
        while !cursor.is_synced(view.revision()) {
            black_box(cursor.poll(&view, &bench.ring, &encode, usize::MAX)).unwrap();
        }
    });
    bench.run(Action::Compact { revision: view.revision() });
    let mut steps = 0;
    measure("sweep of 400,000 old versions", 1, |_| {
        while !bench.store.compact_step(1_000).unwrap() {
            bench.publish();
            steps += 1;
        }
    });
    bench.publish();
    measure("hash of everything", 1, |_| {
        black_box(bench.view.hash_kv(0)).unwrap();
    });
    measure("delete, at random", 50_000, |at| {
        let range = KeyRange::single(key(at * 2));
        bench.run(Action::Delete(Delete { range, prev_kv: false }));
    });
}
