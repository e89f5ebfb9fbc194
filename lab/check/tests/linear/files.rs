//! Histories in files, with known verdicts.
