//! The protocol in the clear once more, without sockets, threads and ciphers.

use migtax::memory::PageRun;
use migtax::units::PAGE_SIZE;
use migtax::wire::{
    AAD_LEN, Head, PREAMBLE_LEN, PREFIX_LEN, Prefix, RecordKind, Totals, verify_checksum,
    write_checksum,
};

use super::{HELLO, MOST_STATE, Outcome, PAGES, clear};

/// One record of a stream in the clear.
struct Record<'a> {
    aad: [u8; AAD_LEN],
    body: usize,
    head: &'a mut [u8],
    /// As much of it as there is.
    payload: &'a mut [u8],
}

/// Takes the next record from `wire`, if its lengths are within bounds and its head is whole.
fn next_record<'a>(wire: &mut &'a mut [u8]) -> Option<Record<'a>> {
    let framing = clear();
    let (prefix, rest) = std::mem::take(wire).split_first_chunk_mut::<PREFIX_LEN>()?;
    let mut aad = [0; AAD_LEN];
    aad[..PREAMBLE_LEN].copy_from_slice(&framing.preamble.encode());
    aad[PREAMBLE_LEN..].copy_from_slice(prefix);
    let prefix = Prefix::decode(*prefix, &framing.bounds).ok()?;
    let (head, rest) = rest.split_at_mut_checked(prefix.head as usize)?;
    let payload = (prefix.body - prefix.head) as usize;
    let (payload, rest) = rest.split_at_mut(payload.min(rest.len()));
    *wire = rest;
    Some(Record {
        aad,
        body: prefix.body as usize,
        head,
        payload,
    })
}

/// Numbers the records and makes their checksums right, so that mutations reach what is behind.
pub fn repair(mut wire: &mut [u8]) {
    let mut sequence = 0u64;
    while let Some(record) = next_record(&mut wire) {
        record.head[8..16].copy_from_slice(&sequence.to_le_bytes());
        let control: &[u8] = match record.head[0] == RecordKind::Pages as u8 {
            true => &[],
            false => record.payload,
        };
        write_checksum(&record.aad, record.head, control);
        sequence += 1;
    }
}

/// What a stream makes of the guest.
pub fn read(wire: &[u8]) -> Outcome {
    let mut wire = wire.to_vec();
    let mut left = wire.as_mut_slice();
    let mut guest = Outcome {
        switched_over: false,
        given_up: false,
        memory: vec![0; PAGES * PAGE_SIZE],
        state: Vec::new(),
        answers: Vec::new(),
    };
    let (mut sequence, mut ended) = (0, 0u32);
    let (mut of_round, mut of_all) = (Totals::default(), Totals::default());
    let mut state = Vec::new();
    while let Some(record) = next_record(&mut left) {
        let Ok(head) = Head::decode(record.head, &clear().bounds) else {
            break;
        };
        let len = record.head.len() + head.payload as usize;
        let whole = record.payload.len() == head.payload as usize;
        let control: &[u8] = match head.kind {
            RecordKind::Pages => &[],
            _ if !whole => break,
            _ => record.payload,
        };
        if len != record.body
            || head.sequence != sequence
            || verify_checksum(&record.aad, record.head, control).is_err()
        {
            break;
        }
        sequence += 1;
        let at_end = ended.checked_sub(1) == Some(head.round) && of_round == Totals::default();
        match head.kind {
            RecordKind::Hello if sequence == 1 && head.round == 0 && control == HELLO => {
                guest.answers.push((RecordKind::HelloAck, 0));
            }
            _ if sequence == 1 => break,
            // Records this short are received whole before anything is made of them.
            RecordKind::Pages if !whole => break,
            RecordKind::Pages if head.round == ended && fits(&head, &record, of_round) => {
                write_pages(&head, &record, &mut guest.memory);
                of_round.records += 1;
                of_round.pages += u64::from(head.payload) / PAGE_SIZE as u64;
                for run in head.zero(record.head) {
                    range(run).for_each(|at| guest.memory[at] = 0);
                    of_round.zero_pages += run.pages;
                }
            }
            RecordKind::RoundEnd if head.round == ended && control == of_round.encode() => {
                guest.answers.push((RecordKind::RoundAck, ended));
                of_all += std::mem::take(&mut of_round);
                ended += 1;
            }
            RecordKind::DeviceState if at_end && state.len() + control.len() <= MOST_STATE => {
                state.extend_from_slice(control);
            }
            RecordKind::Final if at_end && control == of_all.encode() => {
                guest.answers.push((RecordKind::SwitchoverAck, head.round));
                guest.switched_over = true;
                guest.state = state;
                break;
            }
            RecordKind::Abort if at_end => {
                guest.answers.push((RecordKind::AbortAck, head.round));
                guest.given_up = true;
                break;
            }
            _ => break,
        }
    }
    guest
}

/// A round has room for each of the guest's pages once.
fn fits(head: &Head, record: &Record<'_>, of_round: Totals) -> bool {
    let runs = head.data(record.head).chain(head.zero(record.head));
    let pages: u64 = runs.map(|run| run.pages).sum();
    of_round.pages + of_round.zero_pages + pages <= PAGES as u64
}

fn range(run: PageRun) -> std::ops::Range<usize> {
    run.first as usize * PAGE_SIZE..run.end() as usize * PAGE_SIZE
}

fn write_pages(head: &Head, record: &Record<'_>, memory: &mut [u8]) {
    let content = record.payload.iter();
    let places = head.data(record.head).flat_map(range);
    for (at, byte) in places.zip(content) {
        memory[at] = *byte;
    }
}

/// The destination's answers in the clear.
pub fn answers(reply: &[u8]) -> Vec<(RecordKind, u32)> {
    let mut reply = reply.to_vec();
    let mut left = reply.as_mut_slice();
    let mut found = Vec::new();
    while let Some(record) = next_record(&mut left) {
        let head = Head::decode(record.head, &clear().bounds).expect("a whole answer");
        assert_eq!(head.sequence, found.len() as u64);
        verify_checksum(&record.aad, record.head, record.payload).expect("an answer's checksum");
        found.push((head.kind, head.round));
    }
    found
}
