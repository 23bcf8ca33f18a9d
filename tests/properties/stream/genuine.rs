//! The one stream that was sealed with the key.

use std::net::TcpStream;
use std::sync::{Arc, OnceLock};

use migtax::crypto::sequence::FlowDirection;
use migtax::memory::{GuestMemory, PageRun};
use migtax::record::{Draft, Framing, Outbound};
use migtax::transport::Connection;
use migtax::units::{PAGE_SIZE, Size};
use migtax::wire::{RecordKind, Totals};

use super::{HELLO, MOST_STATE, Outcome, PAGES, SILENCE, clear, plain, receive, sealed, socket};

/// A stream and what it does.
pub struct Genuine {
    records: Vec<Vec<u8>>,
    /// What the guest is after as many records.
    pub outcomes: Vec<Outcome>,
    /// Bytes of an answer.
    pub answer_len: usize,
}

impl Genuine {
    /// How many records, from the first on, `wire` has of it.
    pub fn leading(&self, mut wire: &[u8]) -> usize {
        let count = self.records.iter().position(|record| {
            let rest = wire.strip_prefix(record.as_slice());
            wire = rest.unwrap_or(wire);
            rest.is_none()
        });
        count.unwrap_or(self.records.len())
    }
}

/// The stream.
pub fn stream() -> &'static Genuine {
    static GENUINE: OnceLock<Genuine> = OnceLock::new();
    GENUINE.get_or_init(|| {
        let records = sample(&sealed());
        let in_clear = sample(&clear());
        let outcomes = (0..=in_clear.len())
            .map(|count| plain::read(&in_clear[..count].concat()))
            .collect();
        let (_, reply) = receive(&sealed(), &records[0]);
        Genuine {
            records,
            outcomes,
            answer_len: reply.len(),
        }
    })
}

/// A small migration of two rounds, record by record.
pub fn sample(framing: &Framing) -> Vec<Vec<u8>> {
    let memory = guest_memory();
    for page in 0..PAGES as u64 {
        memory.write_word(page, 8 * page as usize, 0x0102_0304 + page);
    }
    let mut sender = Sender::new(framing);
    let run = |first, pages| PageRun { first, pages };
    let totals = |records, pages, zero_pages| Totals {
        records,
        pages,
        zero_pages,
    };
    sender.control(RecordKind::Hello, 0, HELLO);
    sender.pages(0, &[run(0, 1), run(7, 1)], &[run(4, 2), run(9, 7)], &memory);
    sender.pages(0, &[run(2, 2)], &[], &memory);
    sender.control(RecordKind::RoundEnd, 0, &totals(2, 4, 9).encode());
    sender.pages(1, &[run(9, 1)], &[run(0, 1)], &memory);
    sender.control(RecordKind::RoundEnd, 1, &totals(1, 1, 1).encode());
    sender.control(RecordKind::DeviceState, 1, &[0xd5; MOST_STATE / 2]);
    sender.control(RecordKind::DeviceState, 1, &[0x5d; MOST_STATE / 2]);
    sender.control(RecordKind::Final, 1, &totals(3, 5, 10).encode());
    sender.records
}

/// A stream that names a switchover before its first round: the last number of a round and the first
/// are neighbours only in arithmetic that wraps.
#[cfg(test)]
pub fn refused_switchover(framing: &Framing) -> Vec<Vec<u8>> {
    let mut sender = Sender::new(framing);
    sender.control(RecordKind::Hello, 0, HELLO);
    sender.control(RecordKind::Final, u32::MAX, &Totals::default().encode());
    sender.records
}

fn guest_memory() -> Arc<GuestMemory> {
    let size = Size((PAGES * PAGE_SIZE) as u64);
    Arc::new(GuestMemory::new(size, false).expect("64 KiB"))
}

/// A stream whose round names more pages than the guest has: each record by itself is in order.
#[cfg(test)]
pub fn too_many_pages(framing: &Framing) -> Vec<Vec<u8>> {
    let memory = guest_memory();
    let all = PageRun {
        first: 0,
        pages: PAGES as u64,
    };
    let mut sender = Sender::new(framing);
    sender.control(RecordKind::Hello, 0, HELLO);
    sender.pages(0, &[], &[all], &memory);
    sender.pages(0, &[], &[PageRun { pages: 1, ..all }], &memory);
    let totals = Totals {
        records: 2,
        pages: 0,
        zero_pages: PAGES as u64 + 1,
    };
    sender.control(RecordKind::RoundEnd, 0, &totals.encode());
    sender.control(RecordKind::Final, 0, &totals.encode());
    sender.records
}

struct Sender {
    outbound: Outbound,
    draft: Draft,
    connection: Connection,
    there: TcpStream,
    records: Vec<Vec<u8>>,
}

impl Sender {
    fn new(framing: &Framing) -> Sender {
        let (here, there) = socket::pair();
        Sender {
            outbound: Outbound::new(framing, FlowDirection::ToDestination).expect("a fresh key"),
            draft: Draft::new(framing),
            connection: Connection::new(here, 0, "destination", SILENCE).expect("a socket"),
            there,
            records: Vec::new(),
        }
    }

    fn control(&mut self, kind: RecordKind, round: u32, payload: &[u8]) {
        self.outbound
            .send_control(&mut self.connection, &mut self.draft, kind, round, payload)
            .expect("it fits the socket's buffers");
        self.records.push(socket::drain(&mut self.there));
    }

    fn pages(&mut self, round: u32, data: &[PageRun], zero: &[PageRun], memory: &Arc<GuestMemory>) {
        self.draft.data.clear();
        self.draft.data.extend_from_slice(data);
        self.draft.zero.clear();
        self.draft.zero.extend_from_slice(zero);
        self.draft.take_pages(memory);
        self.outbound
            .frame_pages(&mut self.draft, round)
            .and_then(|()| self.outbound.seal(&mut self.draft))
            .and_then(|()| Ok(self.draft.transmit(&mut self.connection)?))
            .expect("it fits the socket's buffers");
        self.records.push(socket::drain(&mut self.there));
    }
}
