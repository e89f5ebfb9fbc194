//! How an input is changed into another: people's experience of what breaks readers.

use quorate_base::Dice;

/// Inputs do not grow beyond this, except that seeds may be longer.
const LONGEST: usize = 64 << 10;

/// A known input, changed in one to four ways. `words` are what the reader understands.
pub fn mutate(known: &[Vec<u8>], words: &[&str], dice: &mut Dice) -> Vec<u8> {
    let mut input = pick(known, dice).clone();
    for _ in 0..dice.between(1, 4) {
        let at = dice.below(input.len() as u64 + 1) as usize;
        match dice.below(8) {
            0 => in_place(&mut input, at, dice),
            1 => length(&mut input, at, dice),
            2 => pieces(&mut input, at, dice),
            3 => {
                // The beginning of one and the end of another.
                let other = pick(known, dice);
                let from = dice.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            4 => {
                // A part of another in the middle.
                let other = pick(known, dice);
                let from = dice.below(other.len() as u64 + 1) as usize;
                let to = (from + dice.between(1, 64) as usize).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            5 if !words.is_empty() => {
                let word = words[dice.below(words.len() as u64) as usize];
                let times = if dice.chance(20_000) { 3_000 } else { 1 };
                input.splice(at..at, word.bytes().cycle().take(word.len() * times));
            }
            6 if !words.is_empty() => digits(&mut input, at, dice),
            _ => in_place(&mut input, at, dice),
        }
    }
    input.truncate(known.iter().map(Vec::len).max().unwrap_or_default().max(LONGEST));
    input
}

fn pick<'a>(known: &'a [Vec<u8>], dice: &mut Dice) -> &'a Vec<u8> {
    &known[dice.below(known.len() as u64) as usize]
}

/// Changes bytes where they are: a bit, a byte, a number at which arithmetic ends.
fn in_place(input: &mut [u8], at: usize, dice: &mut Dice) {
    match dice.below(4) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        1 => overwrite(input, at, &[dice.next_u64() as u8]),
        2 => {
            if let Some(byte) = input.get_mut(at) {
                let step = dice.between(1, 3) as u8;
                *byte = if dice.chance(500_000) {
                    byte.wrapping_add(step)
                } else {
                    byte.wrapping_sub(step)
                };
            }
        }
        _ => overwrite(input, at, number(dice)),
    }
}

/// Writes a number that might be a length: how much follows, how much there is, or nearly that.
fn length(input: &mut [u8], at: usize, dice: &mut Dice) {
    let base = match dice.below(3) {
        0 => input.len().saturating_sub(at),
        1 => input.len(),
        _ => {
            let bits = dice.between(1, 24);
            dice.below(1 << bits) as usize
        }
    };
    let value = (base as u64).wrapping_add(dice.below(9)).wrapping_sub(4);
    match dice.below(6) {
        0 => overwrite(input, at, &[value as u8]),
        1 => overwrite(input, at, &(value as u16).to_be_bytes()),
        2 => overwrite(input, at, &(value as u16).to_le_bytes()),
        3 => overwrite(input, at, &(value as u32).to_be_bytes()),
        4 => overwrite(input, at, &(value as u32).to_le_bytes()),
        _ => overwrite(input, at, &value.to_le_bytes()),
    }
}

/// Takes out, adds or repeats some bytes.
fn pieces(input: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let end = |most: u64, dice: &mut Dice| (at + dice.between(1, most) as usize).min(input.len());
    match dice.below(5) {
        0 => input.truncate(at),
        1 => {
            let end = end(16, dice);
            input.drain(at..end);
        }
        2 => {
            let bytes: Vec<u8> = (0..dice.between(1, 16)).map(|_| dice.next_u64() as u8).collect();
            input.splice(at..at, bytes);
        }
        3 => {
            let end = end(64, dice);
            let copy = input[at..end].to_vec();
            input.splice(at..at, copy);
        }
        _ => {
            // Again and again: what recurses goes deep, what counts counts high.
            let end = end(8, dice);
            let times = 1 << dice.between(1, 10);
            let copy = input[at..end].repeat(times);
            input.splice(at..at, copy);
        }
    }
}

/// Writes another number in place of the digits around a place.
fn digits(input: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    const NUMBERS: [&str; 14] = [
        "0",
        "-1",
        "1",
        "255",
        "65536",
        "2147483647",
        "-2147483648",
        "4294967296",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551616",
        "1e309",
        "0.1",
    ];
    let Some(start) = input[at..].iter().position(u8::is_ascii_digit).map(|ahead| at + ahead)
    else {
        return;
    };
    let end = input[start..].iter().position(|byte| !byte.is_ascii_digit());
    let end = end.map_or(input.len(), |ahead| start + ahead);
    let number = NUMBERS[dice.below(NUMBERS.len() as u64) as usize];
    input.splice(start..end, number.bytes());
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    for (target, byte) in input.iter_mut().skip(at).zip(bytes) {
        *target = *byte;
    }
}

/// The bytes of a number at which arithmetic ends, in one of the usual widths and orders.
fn number(dice: &mut Dice) -> &'static [u8] {
    const NUMBERS: [&[u8]; 12] = [
        &[0xff],
        &[0x7f],
        &[0x80],
        &[0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0x7f],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0x80, 0, 0, 0, 0, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ];
    NUMBERS[dice.below(NUMBERS.len() as u64) as usize]
}
