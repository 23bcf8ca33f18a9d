//! A few numbers for every page that is written, without memory for those that are not.

/// Pages in a chunk.
const CHUNK: u64 = 1024;

/// Per page a count and one stamp for each window size, allocated by chunks of neighbours.
pub(super) struct PageTable {
    stride: usize,
    chunks: Vec<Option<Box<[u32]>>>,
}

impl PageTable {
    /// For a guest of `pages` pages and `windows` window sizes.
    pub(super) fn new(pages: u64, windows: usize) -> PageTable {
        let chunks = pages.div_ceil(CHUNK) as usize;
        PageTable {
            stride: windows + 1,
            chunks: std::iter::repeat_with(|| None).take(chunks).collect(),
        }
    }

    /// The numbers of a page: its count, then its stamps.
    #[inline]
    pub(super) fn entry(&mut self, page: u64) -> &mut [u32] {
        let stride = self.stride;
        let chunk = self.chunks[(page / CHUNK) as usize]
            .get_or_insert_with(|| vec![0; CHUNK as usize * stride].into_boxed_slice());
        let at = (page % CHUNK) as usize * stride;
        &mut chunk[at..at + stride]
    }

    /// The counts of all pages with writes, largest first.
    pub(super) fn counts(&self) -> Vec<u32> {
        let mut counts: Vec<u32> = self
            .chunks
            .iter()
            .flatten()
            .flat_map(|chunk| chunk.chunks_exact(self.stride).map(|entry| entry[0]))
            .filter(|count| *count > 0)
            .collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }
}
