//! Properties of every decoder of outside input, over the committed corpus and mutations of it.
//!
//! The fuzz targets under `fuzz/` check the same properties with feedback and for as long as one
//! likes; here a fixed seed makes a few thousand inputs per decoder, the same on each run.

mod content;
mod criterion;
mod exact;
mod fleet;
mod frontier;
mod gate_policy;
mod hostile;
mod lackey;
mod mutate;
mod pins;
mod record;
mod refusal;
mod results;
mod scenario;
mod seeds;
mod spec;
#[path = "stream/mod.rs"]
mod stream;
mod trace;

use std::path::Path;

use mutate::Mutator;

/// How many inputs were accepted and refused.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    accepted: usize,
    refused: usize,
}

impl Count {
    fn of(check: impl Fn(&[u8]) -> bool, inputs: impl IntoIterator<Item = Vec<u8>>) -> Count {
        let mut count = Count::default();
        for input in inputs {
            match check(&input) {
                true => count.accepted += 1,
                false => count.refused += 1,
            }
        }
        count
    }

    /// Both answers must be common, or the mutations exercise one path only.
    fn require(self, least_percent: usize) {
        let least = (self.accepted + self.refused) * least_percent / 100;
        assert!(
            self.accepted >= least && self.refused >= least,
            "{self:?}: at least {least} of each"
        );
    }
}

/// The committed inputs of a fuzz target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}: no inputs", folder.display());
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// Checks what the formats' own writers make, the corpus as it stands, and `count` mutations of it.
fn run(target: &str, count: usize, check: fn(&[u8]) -> bool) {
    let fresh = Count::of(check, seeds::of(target));
    assert!(fresh.accepted > 0, "{target}: no seed is accepted");
    let (accepted, refused): (Vec<_>, Vec<_>) =
        corpus(target).into_iter().partition(|input| check(input));
    let known = Count {
        accepted: accepted.len(),
        refused: refused.len(),
    };
    assert!(
        known.accepted > 0,
        "{target}: nothing in the corpus is accepted"
    );
    // What is accepted is mutated more often: a mutation of the rest is hardly ever accepted.
    let mut mutator = Mutator::new(0x6d69_6774_6178);
    let inputs = (0..count).map(|_| {
        let rest = !refused.is_empty() && mutator.below(4) == 0;
        mutator.input(if rest { &refused } else { &accepted })
    });
    let mutated = Count::of(check, inputs);
    println!("{target}: corpus {known:?}, mutated {mutated:?}");
    mutated.require(1);
}

macro_rules! properties {
    ($($target:ident: $count:literal),* $(,)?) => {
        $(#[test]
        fn $target() {
            run(stringify!($target), $count, $target::check);
        })*
    };
}

/// The tests, named as their targets.
mod of {
    use super::*;

    properties! {
        record: 20_000,
        stream: 3_000,
        spec: 4_000,
        trace: 4_000,
        lackey: 1_000,
        scenario: 3_000,
        fleet: 500,
        results: 2_000,
        frontier: 1_000,
        gate_policy: 4_000,
        hostile: 60,
        exact: 4_000,
        criterion: 4_000,
    }
}

/// Without a committed corpus: what the pinned compressors make is at hand.
#[test]
fn content_unpacks_to_exactly_its_pages_or_is_refused() {
    let samples = content::samples();
    // Two that hold what they say of each compressor, and a bomb.
    for (at, sample) in samples.iter().enumerate() {
        assert_eq!(content::check(sample), at % 3 < 2, "sample {at}");
    }
    let mut mutator = Mutator::new(0x6d69_6774_6178);
    let inputs = (0..2_000).map(|_| mutator.input(&samples));
    Count::of(content::check, inputs).require(1);
}

/// A decoder of length-prefixed text that forgets to ask whether all of it is there.
fn careless(input: &[u8]) -> Option<&[u8]> {
    let (len, rest) = input.split_first()?;
    Some(&rest[..rest.len().min(usize::from(*len))])
}

/// The mutations find what they are there to find: a text that was cut and accepted all the same.
#[test]
fn a_careless_decoder_is_found_out() {
    let corpus = [b"\x05hello".to_vec(), b"\x09migration".to_vec()];
    let mut mutator = Mutator::new(1);
    let short =
        |input: &[u8]| careless(input).is_some_and(|text| text.len() != usize::from(input[0]));
    assert!(!corpus.iter().any(|input| short(input)));
    let found = (0..1000).filter(|_| short(&mutator.input(&corpus))).count();
    assert!(found > 50, "{found} of 1000 inputs");
}

/// A share that is asked for is missed by a decoder that accepts, or refuses, everything.
#[test]
#[should_panic(expected = "at least 10 of each")]
fn a_decoder_that_accepts_everything_is_found_out() {
    let mut mutator = Mutator::new(2);
    let inputs = (0..1000).map(|_| mutator.input(&[b"anything".to_vec()]));
    Count::of(|_| true, inputs).require(1);
}
