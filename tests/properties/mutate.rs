//! Mutations of known inputs from a fixed seed: what a fuzzer does, without its feedback.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Longer results are cut.
const LONGEST: usize = 64 << 10;

/// Numbers and words on which decoders stumble.
const TOKENS: [&[u8]; 18] = [
    b"0",
    b"-1",
    b"1e999",
    b"1e-320",
    b"18446744073709551615",
    b"18446744073709551616",
    b"nan",
    b"null",
    b"\"\"",
    b"[]",
    b"{}",
    b"\n",
    b"\x1b[2J",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    "\u{2028}".as_bytes(),
    b"\\n",
];

/// A source of mutated inputs.
pub struct Mutator {
    random: Xoshiro256PlusPlus,
}

impl Mutator {
    /// The same seed makes the same inputs.
    pub fn new(seed: u64) -> Mutator {
        Mutator {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.random.next_u64() % end as u64) as usize
    }

    /// One of `corpus` with one mutation or more, half of the time one.
    pub fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        loop {
            let other = &corpus[self.below(corpus.len())];
            self.mutate(&mut input, other);
            if self.below(2) == 0 {
                break;
            }
        }
        input.truncate(LONGEST);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        if input.is_empty() {
            input.extend_from_slice(other);
            return;
        }
        let at = self.below(input.len());
        let end = at + 1 + self.below((input.len() - at).min(64));
        match self.below(9) {
            0 => input[at] ^= 1 << self.below(8),
            1 => input[at] = self.random.next_u64() as u8,
            2 => input.truncate(at),
            3 => drop(input.drain(at..end)),
            4 => {
                let count = 1 + self.below(8);
                let bytes = self.random.next_u64().to_le_bytes();
                input.splice(at..at, bytes[..count].iter().copied());
            }
            5 => {
                let part = input[at..end].to_vec();
                input.splice(end..end, part);
            }
            6 => {
                let from = self.below(other.len().max(1)).min(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            7 => self.replace_number(input, at),
            _ => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
        }
    }

    /// Puts a token in the place of the digits at or after `at`.
    fn replace_number(&mut self, input: &mut Vec<u8>, at: usize) {
        let digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let Some(start) = input[at..].iter().position(digit).map(|n| at + n) else {
            return;
        };
        let len = input[start..].iter().take_while(|b| digit(b)).count();
        let token = TOKENS[self.below(TOKENS.len())];
        input.splice(start..start + len, token.iter().copied());
    }
}
