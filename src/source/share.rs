//! A stream's share of a round: which pages it sends, in order.

use crate::memory::PageRun;

/// Walks a round's runs and yields the spans that belong to one stream.
///
/// The rule is fixed, so that a page's stream, and with it the records, are the same on every
/// machine: guest memory is cut into chunks of one record's pages, dealt to the streams in turn.
#[derive(Debug)]
pub struct StreamShare<'a> {
    runs: &'a [PageRun],
    /// Within the first of `runs`.
    offset: u64,
    stream: u64,
    streams: u64,
    chunk_pages: u64,
}

impl<'a> StreamShare<'a> {
    /// The spans of stream `stream` of `streams`.
    pub fn new(runs: &'a [PageRun], stream: u32, streams: u32, chunk_pages: u64) -> Self {
        StreamShare {
            runs,
            offset: 0,
            stream: u64::from(stream),
            streams: u64::from(streams),
            chunk_pages,
        }
    }

    /// The next span of at most `most` pages; `None` at the end.
    pub fn next(&mut self, most: u64) -> Option<PageRun> {
        loop {
            let run = self.runs.first()?;
            if self.offset == run.pages {
                self.runs = &self.runs[1..];
                self.offset = 0;
                continue;
            }
            let first = run.first + self.offset;
            let left = run.pages - self.offset;
            if self.streams == 1 {
                let pages = left.min(most);
                self.offset += pages;
                return Some(PageRun { first, pages });
            }
            let chunk = first / self.chunk_pages;
            let in_chunk = self.chunk_pages - first % self.chunk_pages;
            let ahead = (self.stream + self.streams - chunk % self.streams) % self.streams;
            if ahead == 0 {
                let pages = left.min(most).min(in_chunk);
                self.offset += pages;
                return Some(PageRun { first, pages });
            }
            let skip = in_chunk + (ahead - 1) * self.chunk_pages;
            self.offset += skip.min(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_share_all_pages_and_no_page_twice() {
        let runs = [(0, 100), (130, 1), (200, 1000), (5000, 7)]
            .map(|(first, pages)| PageRun { first, pages });
        for streams in [1, 2, 3, 7, 64] {
            for most in [1, 5, 16, 1000] {
                let mut seen = std::collections::BTreeMap::new();
                for stream in 0..streams {
                    let mut share = StreamShare::new(&runs, stream, streams, 16);
                    let mut last = None;
                    while let Some(span) = share.next(most) {
                        assert!(span.pages >= 1 && span.pages <= most);
                        assert!(last.is_none_or(|last| last < span.first));
                        for page in span.first..span.first + span.pages {
                            assert_eq!(seen.insert(page, stream), None);
                            last = Some(page);
                        }
                    }
                }
                let all: Vec<u64> = runs
                    .iter()
                    .flat_map(|run| run.first..run.first + run.pages)
                    .collect();
                assert_eq!(seen.keys().copied().collect::<Vec<_>>(), all);
                for (page, stream) in seen {
                    assert_eq!(page / 16 % u64::from(streams), u64::from(stream));
                }
            }
        }
    }
}
