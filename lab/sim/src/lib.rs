//! Simulated worlds: the shipped protocols and the shipped log over parts that fail from one seed.

pub mod disk;
