//! Dirty sets as runs of pages, not as page lists: a fully dirty guest is one entry.

/// A run of consecutive pages; in a harvest maximal, ascending and disjoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRun {
    /// Its first page.
    pub first: u64,
    /// Pages in it, at least 1.
    pub pages: u64,
}

impl PageRun {
    /// The page after the last.
    pub fn end(self) -> u64 {
        self.first + self.pages
    }

    /// Its page numbers.
    pub fn range(self) -> std::ops::Range<u64> {
        self.first..self.end()
    }
}

/// Joins pieces into maximal runs.
///
/// Pieces come in ascending order almost always, and are then joined as they come. The kernel's
/// page-table walk starts a stretch again when the table changes under it, and then tells of some
/// pages twice: [`RunBuilder::finish`] puts that right.
#[derive(Debug)]
pub struct RunBuilder<'a> {
    runs: &'a mut Vec<PageRun>,
    pages: u64,
    ascending: bool,
}

impl<'a> RunBuilder<'a> {
    /// Replaces what `runs` holds.
    pub fn new(runs: &'a mut Vec<PageRun>) -> Self {
        runs.clear();
        RunBuilder {
            runs,
            pages: 0,
            ascending: true,
        }
    }

    /// Adds `pages` pages (none is allowed) from page `first` on.
    #[inline]
    pub fn push(&mut self, first: u64, pages: u64) {
        if pages == 0 {
            return;
        }
        self.pages += pages;
        match self.runs.last_mut() {
            Some(last) if last.end() == first => last.pages += pages,
            last => {
                self.ascending &= last.is_none_or(|last| last.end() < first);
                self.runs.push(PageRun { first, pages });
            }
        }
    }

    /// Adds the pages whose bits are set in `word`; bit 0 is page `first`.
    #[inline]
    pub fn push_bits(&mut self, first: u64, mut word: u64) {
        let mut base = first;
        while word != 0 {
            let gap = word.trailing_zeros();
            // Two shifts, since one by 64 is not defined.
            word >>= gap;
            let ones = word.trailing_ones();
            self.push(base + u64::from(gap), u64::from(ones));
            base += u64::from(gap + ones);
            word = if ones == u64::BITS { 0 } else { word >> ones };
        }
    }

    /// Pages in the runs, which are maximal, ascending and disjoint from here on.
    pub fn finish(self) -> u64 {
        if self.ascending {
            self.pages
        } else {
            normalize(self.runs)
        }
    }
}

/// Makes runs maximal, ascending and disjoint; the pages in them.
pub fn normalize(runs: &mut Vec<PageRun>) -> u64 {
    runs.sort_unstable_by_key(|run| run.first);
    let mut last = 0;
    for next in 1..runs.len() {
        let run = runs[next];
        let open = &mut runs[last];
        if run.first <= open.end() {
            open.pages = open.end().max(run.end()) - open.first;
        } else {
            last += 1;
            runs[last] = run;
        }
    }
    runs.truncate(last + 1);
    runs.iter().map(|run| run.pages).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_maximal_runs() {
        // words, expected (first, pages)
        type Case = (&'static [u64], &'static [(u64, u64)]);
        let table: &[Case] = &[
            (&[], &[]),
            (&[0, 0], &[]),
            (&[1], &[(0, 1)]),
            (&[1 << 63, 1], &[(63, 2)]),
            (&[u64::MAX, u64::MAX], &[(0, 128)]),
            (&[0b1011_0110], &[(1, 2), (4, 2), (7, 1)]),
            (&[0, 1 << 63, 0, 1], &[(127, 1), (192, 1)]),
            (&[u64::MAX << 1], &[(1, 63)]),
        ];
        for (words, expected) in table {
            let mut runs = vec![PageRun { first: 9, pages: 9 }];
            let mut builder = RunBuilder::new(&mut runs);
            for (i, word) in words.iter().enumerate() {
                builder.push_bits(i as u64 * 64, *word);
            }
            let bits: u32 = words.iter().map(|w| w.count_ones()).sum();
            assert_eq!(builder.finish(), u64::from(bits));
            let seen: Vec<_> = runs.iter().map(|run| (run.first, run.pages)).collect();
            assert_eq!(seen, *expected, "{words:x?}");
        }
    }

    #[test]
    fn pieces_join_and_gaps_stay() {
        let mut runs = Vec::new();
        let mut builder = RunBuilder::new(&mut runs);
        for (first, pages) in [(2, 3), (5, 1), (5, 0), (7, 2), (9, 4)] {
            builder.push(first, pages);
        }
        assert_eq!(builder.finish(), 10);
        let expected = [
            PageRun { first: 2, pages: 4 },
            PageRun { first: 7, pages: 6 },
        ];
        assert_eq!(runs, expected);
        assert_eq!(runs[1].range(), 7..13);
    }

    #[test]
    fn pieces_out_of_order_or_told_twice_are_put_right() {
        type Case = (&'static [(u64, u64)], &'static [(u64, u64)]);
        let table: &[Case] = &[
            (&[(0, 4), (10, 2), (4, 6)], &[(0, 12)]),
            (&[(0, 10), (2, 3), (20, 1)], &[(0, 10), (20, 1)]),
            (&[(5, 1), (7, 1), (6, 1), (9, 1)], &[(5, 3), (9, 1)]),
            (&[(8, 2), (0, 1)], &[(0, 1), (8, 2)]),
            (&[(3, 2), (3, 2)], &[(3, 2)]),
        ];
        for (pieces, expected) in table {
            let mut runs = Vec::new();
            let mut builder = RunBuilder::new(&mut runs);
            for (first, pages) in *pieces {
                builder.push(*first, *pages);
            }
            let pages = builder.finish();
            let seen: Vec<_> = runs.iter().map(|run| (run.first, run.pages)).collect();
            assert_eq!(seen, *expected, "{pieces:?}");
            assert_eq!(pages, expected.iter().map(|(_, pages)| pages).sum::<u64>());
        }
        let mut none = Vec::new();
        assert_eq!(normalize(&mut none), 0);
    }
}
