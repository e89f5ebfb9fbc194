//! What ships carries none of the bugs that the laboratory puts back on purpose.

/// The words that every binary with mutants holds (`quorate_base::mutant::MARK`); the laboratory's tests look for them
/// in a binary that must hold them. Put together at run time, so that this test does not find itself.
fn mark() -> String {
    ["quorate: this build ", "carries mutants"].concat()
}

#[test]
fn the_binary_carries_no_mutants() {
    const { assert!(!quorate_base::mutant::POSSIBLE) };
    let binary = std::fs::read(env!("CARGO_BIN_EXE_quorate")).expect("the binary under test");
    assert!(binary.len() > 1 << 20, "a whole program");
    // The library's own search: a loop of this test's own would take minutes unoptimised.
    let text = String::from_utf8_lossy(&binary);
    for words in [mark(), quorate_base::mutant::ALL[0].name.to_owned()] {
        assert!(!text.contains(&words), "the binary holds the words {words:?}");
    }
}
