//! `check perf`: does the cluster keep up with a steady rate of writes?

use std::time::Duration;

use quorate_client::Client;
use tokio::time::Instant;

use super::load::{Keys, Rate, Report};
use super::{Arguments, Size, load};
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::global::Global;
use crate::ctl::lock::interrupted;

const SECONDS: u64 = 60;
const KEY_BYTES: usize = 256;
const VALUE_BYTES: usize = 1024;

/// Writes a second, and connections.
fn workload(size: Size) -> (u32, usize) {
    match size {
        Size::Small => (150, 50),
        Size::Medium => (1_000, 200),
        Size::Large => (8_000, 500),
        Size::ExtraLarge => (15_000, 1_000),
    }
}

/// Runs the check.
pub async fn run(arguments: &Arguments, prefix: &str, global: &Global) -> Result<(), Failure> {
    let (rate, connections) = workload(arguments.size()?);
    let clients = super::clients(global, connections)?;
    let way_out = format!("'etcdctl del --prefix {prefix}'");
    super::check_is_empty(&clients[0], prefix, &way_out).await?;
    let bar = load::bar(SECONDS);
    let ticking = tokio::spawn(tick(bar.clone()));
    let now = Instant::now();
    let end = now + Duration::from_secs(SECONDS);
    let schedule = Rate { interval: Duration::from_secs(1) / rate, due: now, end };
    let keys = Keys::new(prefix, KEY_BYTES);
    let loaded = tokio::select! {
        report = load::run(&clients, schedule, keys, VALUE_BYTES, &bar, 0) => Some(report),
        () = interrupted() => None,
    };
    ticking.abort();
    bar.finish();
    clean_up(&clients[0], prefix, arguments).await?;
    match loaded {
        Some(report) => judge(&report, f64::from(rate)),
        None => Err(Failure::new(ERROR, "interrupted: the keys of the check are deleted")),
    }
}

/// The bar shows the time.
async fn tick(bar: indicatif::ProgressBar) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bar.inc(1);
    }
}

async fn clean_up(client: &Client, prefix: &str, arguments: &Arguments) -> Result<(), Failure> {
    match super::clean_up(client, prefix).await {
        Ok(revision) if arguments.auto_compact => super::compact(client, revision).await?,
        Ok(_) => {}
        Err(error) => println!("FAIL: Cleanup failed during key deletion: ERROR({error})"),
    }
    if arguments.auto_defrag {
        super::defragment(client).await?;
    }
    Ok(())
}

/// Says what passed and what did not, in etcdctl's lines.
fn judge(report: &Report, rate: f64) -> Result<(), Failure> {
    let mut ok = !report.print_errors();
    let per_second = report.per_second();
    let shown = per_second as u64 + 1;
    if per_second / rate <= 0.9 {
        println!("FAIL: Throughput too low: {shown} writes/s");
        ok = false;
    } else {
        println!("PASS: Throughput is {shown} writes/s");
    }
    let (slowest, deviation) = (report.slowest(), report.deviation());
    if slowest > 0.5 {
        println!("Slowest request took too long: {slowest:.6}s");
        ok = false;
    } else {
        println!("PASS: Slowest request took {slowest:.6}s");
    }
    if deviation > 0.1 {
        println!("Stddev too high: {deviation:.6}s");
        ok = false;
    } else {
        println!("PASS: Stddev is {deviation:.6}s");
    }
    println!("{}", if ok { "PASS" } else { "FAIL" });
    if ok { Ok(()) } else { Err(Failure::silent(ERROR)) }
}
