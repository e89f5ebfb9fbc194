//! Bytes as choices: how a flat input becomes a structured one.

use bytes::Bytes;

/// Takes choices off the front of an input; an input that has ended says zero for ever.
pub struct Source<'a> {
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    /// Choices from these bytes.
    pub fn new(input: &'a [u8]) -> Source<'a> {
        Source { rest: input }
    }

    /// True when only zeros follow.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// A number below `bound`, which is at most 256.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// A number of three bytes.
    pub fn offset(&mut self) -> usize {
        usize::from(self.byte()) << 16 | usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// Yes or no.
    pub fn coin(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A short key, one or two letters of a small alphabet, so that keys meet.
    pub fn key(&mut self) -> Bytes {
        const LETTERS: [u8; 4] = [0, 1, b'a', 0xff];
        let choice = self.byte();
        let first = LETTERS[usize::from(choice) % 4];
        if choice & 0x10 == 0 {
            return vec![first].into();
        }
        vec![first, LETTERS[usize::from(choice >> 5) % 4]].into()
    }

    /// The end of an interval: none, open, or any key.
    pub fn end(&mut self) -> Bytes {
        match self.below(4) {
            0 => Bytes::new(),
            1 => Bytes::from_static(&[0]),
            _ => self.key(),
        }
    }
}
