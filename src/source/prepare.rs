//! The prepare stage: which pages a record holds, and which of them are zero.

use crate::memory::{GuestMemory, PageRun};
use crate::record::Draft;
use crate::source::share::StreamShare;
use crate::units::PAGE_SIZE;
use crate::wire::{Bounds, MAX_RUN_PAGES, Totals};

/// The prepare stage: fills a draft with the next pages, zero pages apart. False if none is left.
pub fn prepare(
    memory: &GuestMemory,
    bounds: &Bounds,
    share: &mut StreamShare,
    draft: &mut Draft,
    totals: &mut Totals,
) -> bool {
    let record_pages = (bounds.record / PAGE_SIZE) as u64;
    let most_zero_runs = bounds.zero_runs();
    let most_zero_pages = bounds.zero_pages();
    draft.data.clear();
    draft.zero.clear();
    let (mut pages, mut zero_pages) = (0, 0);
    loop {
        let room = (record_pages - pages)
            .min((most_zero_runs - draft.zero.len()) as u64)
            .min(most_zero_pages - zero_pages);
        if room == 0 {
            break;
        }
        let Some(span) = share.next(room) else { break };
        for page in span.range() {
            if memory.is_zero(page) {
                push(&mut draft.zero, page);
                zero_pages += 1;
            } else {
                push(&mut draft.data, page);
                pages += 1;
            }
        }
    }
    if pages + zero_pages == 0 {
        return false;
    }
    totals.records += 1;
    totals.pages += pages;
    totals.zero_pages += zero_pages;
    true
}

fn push(runs: &mut Vec<PageRun>, page: u64) {
    match runs.last_mut() {
        Some(last) if last.end() == page && last.pages < MAX_RUN_PAGES => {
            last.pages += 1;
        }
        _ => runs.push(PageRun {
            first: page,
            pages: 1,
        }),
    }
}
