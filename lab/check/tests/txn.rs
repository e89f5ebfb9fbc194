//! Judges of transactions against plain definitions, on many small histories.

#[path = "txn/adya.rs"]
mod adya;
#[path = "txn/append.rs"]
mod append;
#[path = "txn/brute.rs"]
mod brute;
#[path = "txn/random.rs"]
mod random;
#[path = "txn/register.rs"]
mod register;
