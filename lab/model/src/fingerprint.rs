//! 128 bits that stand for a state.

/// Two multipliers with well mixed bits (from the digits of pi).
const LANES: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// The fingerprint of some bytes: two independent folded multiplications over words of eight.
pub(crate) fn fingerprint(bytes: &[u8]) -> u128 {
    let (mut a, mut b) = (LANES[1] ^ bytes.len() as u64, LANES[0]);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = u64::from_le_bytes(word);
        a = fold(a ^ word, LANES[0]) ^ a.rotate_left(23);
        b = fold(b.rotate_left(17) ^ word, LANES[1]).wrapping_add(b);
    }
    u128::from(fold(a, LANES[1])) << 64 | u128::from(fold(b, LANES[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn small_differences_and_zeros_at_the_end_are_told_apart() {
        let mut seen = BTreeSet::new();
        for length in 0..40usize {
            for at in 0..length.max(1) {
                for value in 0..16u8 {
                    let mut bytes = vec![0; length];
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = value + 1;
                    }
                    seen.insert((fingerprint(&bytes), bytes));
                }
            }
            seen.insert((fingerprint(&vec![0; length]), vec![0; length]));
        }
        let prints: BTreeSet<u128> = seen.iter().map(|(print, _)| *print).collect();
        assert_eq!(prints.len(), seen.len());
        let highs: BTreeSet<u64> = prints.iter().map(|print| (print >> 64) as u64).collect();
        assert_eq!(highs.len(), seen.len(), "each lane tells them apart alone");
    }
}
