//! Puts to a server that does nothing.

use std::sync::Arc;

use crate::bench::access::Access;
use crate::bench::connection::Connection;
use crate::bench::dataset::{Dice, Keys, Values};
use crate::bench::failure::Result;
use crate::bench::load::{self, Extent, Window};
use crate::bench::null_server::NullServer;
use crate::bench::writes::{Ledger, Putter};

use super::SMALL;

/// Runs the load of the put lines against the null server.
pub async fn run(clients: usize, extent: Extent) -> Result<Window> {
    let server = NullServer::start()?;
    let connections =
        Connection::open_all(std::slice::from_ref(&server.address), &Access::default()).await?;
    let keys = Keys::new(SMALL);
    let values = Arc::new(Values::new(SMALL.value_bytes));
    let ledger = Ledger::new(SMALL.keys);
    let putter = |client: usize| Putter {
        kv: connections[client % connections.len()].kv(),
        keys: keys.clone(),
        count: SMALL.keys,
        values: Arc::clone(&values),
        ledger: ledger.clone(),
        dice: Dice::new(client as u64),
    };
    load::run((0..clients).map(putter).collect(), extent, &[server.pid()]).await
}
