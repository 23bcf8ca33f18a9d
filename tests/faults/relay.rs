//! A relay between source and destination that reads the cleartext lengths of records, so that it
//! knows what is passing, and does something to it once in each migration. Where TLS is below the records, a
//! record is one of TLS's, and those of its handshake pass unharmed and uncounted but for one fault.

mod fault;
mod records;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use migtax::wire::{PREAMBLE_LEN, PREFIX_LEN, Preamble, Prefix};

use fault::Way;
pub use fault::{Fault, Phase};
use records::{TLS_HEAD, Tls, downgrade, read_record};

/// Streams of memory of each migration that the relay sees.
pub const STREAMS: u32 = 2;

/// Connections of a migration at most: that of a disk is the last one.
const CONNECTIONS: usize = STREAMS as usize + 1;

/// Rounds of each migration: three of pre-copy, stop-and-copy.
pub const ROUNDS: u32 = 4;

/// A record that nobody sealed, with lengths that may be.
const FORGED: Prefix = Prefix { body: 96, head: 48 };
/// How long the last byte of a forged record is withheld in the migration after this one: from
/// nothing to more than it takes to decide, and again.
const LONGER: Duration = Duration::from_micros(4);
const LONGEST: Duration = Duration::from_micros(240);

/// A relay; ends with the value.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    destination: SocketAddr,
    phase: Phase,
    fault: Option<Fault>,
    /// Migrations before this one pass unharmed.
    first: usize,
    /// In the order in which they came, with their ids.
    migrations: Mutex<Vec<(u128, Arc<Migration>)>>,
}

struct Migration {
    harmless: bool,
    struck: AtomicBool,
    stalled: [AtomicBool; CONNECTIONS],
    /// Records of the destination's that have passed, by stream.
    answered: [AtomicU32; CONNECTIONS],
    sockets: Mutex<Vec<TcpStream>>,
    tls: [Tls; CONNECTIONS],
    /// The destination's ends, by stream.
    destinations: Mutex<[Option<TcpStream>; CONNECTIONS]>,
    /// Whether a forged record lacks its last byte.
    forging: AtomicBool,
    /// How long that byte is withheld.
    withheld: Duration,
}

impl Migration {
    fn forge(&self, bytes: &[u8]) {
        let destinations = self.destinations.lock().unwrap();
        let mut socket = destinations[1].as_ref().unwrap();
        // The destination may have ended the stream.
        let _ = socket.write_all(bytes);
    }

    /// Sends the last byte of the forged record, once.
    fn complete_forgery(&self) {
        if self.forging.swap(false, Ordering::SeqCst) {
            self.forge(&[0x5a]);
        }
    }
}

impl Relay {
    /// Relays to a destination, doing `fault` once in each migration from the `first` on.
    pub fn start(
        destination: SocketAddr,
        phase: Phase,
        fault: Option<Fault>,
        first: usize,
    ) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            destination,
            phase,
            fault,
            first,
            migrations: Mutex::default(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = accepting.clone();
                // A connection that breaks is what this is about.
                std::thread::spawn(move || shared.carry(socket));
            }
        });
        Relay { address, shared }
    }

    /// Where a source is to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the fault has struck, for each migration in the order in which they came.
    pub fn struck(&self) -> Vec<bool> {
        let migrations = self.shared.migrations.lock().unwrap();
        let struck =
            |(_, migration): &(u128, Arc<Migration>)| migration.struck.load(Ordering::SeqCst);
        migrations.iter().map(struck).collect()
    }
}

impl Shared {
    fn carry(&self, mut source: TcpStream) -> io::Result<()> {
        let mut bytes = [0; PREAMBLE_LEN];
        source.read_exact(&mut bytes)?;
        let preamble = Preamble::decode(&bytes).expect("sources begin with a preamble");
        let mut destination = TcpStream::connect(self.destination)?;
        for socket in [&source, &destination] {
            socket.set_nodelay(true)?;
        }
        let migration = self.migration(preamble.migration_id);
        {
            let mut sockets = migration.sockets.lock().unwrap();
            sockets.push(source.try_clone()?);
            sockets.push(destination.try_clone()?);
            let mut destinations = migration.destinations.lock().unwrap();
            destinations[preamble.stream as usize] = Some(destination.try_clone()?);
        }
        destination.write_all(&bytes)?;
        let stream = preamble.stream;
        let (from_source, from_destination) = (source.try_clone()?, destination.try_clone()?);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                self.pump(
                    &migration,
                    stream,
                    Way::ToDestination,
                    from_source,
                    destination,
                )
            });
            self.pump(&migration, stream, Way::ToSource, from_destination, source);
        });
        Ok(())
    }

    fn migration(&self, id: u128) -> Arc<Migration> {
        let mut migrations = self.migrations.lock().unwrap();
        if let Some((_, known)) = migrations.iter().find(|(known, _)| *known == id) {
            return known.clone();
        }
        let step = LONGER * migrations.len() as u32;
        let migration = Arc::new(Migration {
            harmless: migrations.len() < self.first,
            struck: AtomicBool::new(false),
            stalled: Default::default(),
            answered: Default::default(),
            sockets: Mutex::default(),
            tls: Default::default(),
            destinations: Mutex::default(),
            forging: AtomicBool::new(false),
            withheld: Duration::from_nanos((step.as_nanos() % LONGEST.as_nanos()) as u64),
        });
        migrations.push((id, migration.clone()));
        migration
    }

    /// Carries records one way until either side has ended.
    fn pump(
        &self,
        migration: &Migration,
        stream: u32,
        way: Way,
        mut from: TcpStream,
        mut to: TcpStream,
    ) {
        let mut slow = false;
        while let Ok((mut record, head)) =
            read_record(&mut from, &migration.tls[stream as usize], way)
        {
            let tls = &migration.tls[stream as usize];
            if tls.is_handshake(&record, way) {
                let strikes = stream == 1 && !migration.harmless;
                match (&self.fault, way) {
                    (Some(Fault::Downgrade), Way::ToDestination) if strikes && record[0] == 22 => {
                        migration.struck.store(true, Ordering::SeqCst);
                        downgrade(&mut record);
                    }
                    (Some(Fault::EndHandshake), Way::ToSource) if strikes => {
                        migration.struck.store(true, Ordering::SeqCst);
                        let _ = to.write_all(&record[..record.len() / 2]);
                        break;
                    }
                    _ => {}
                }
                if to.write_all(&record).is_err() {
                    break;
                }
                continue;
            }
            let answered = &migration.answered[stream as usize];
            if way == Way::ToSource {
                answered.fetch_add(1, Ordering::SeqCst);
            }
            let mut copies = 1;
            let forging = stream == 0 && migration.forging.load(Ordering::SeqCst);
            let forge_now = match (&self.fault, way) {
                (Some(Fault::Forge { at_the_answer }), Way::ToSource) => forging && *at_the_answer,
                (Some(Fault::Forge { at_the_answer }), Way::ToDestination) => {
                    forging && !at_the_answer
                }
                _ => false,
            };
            if forge_now && way == Way::ToSource {
                migration.complete_forgery();
            }
            let passed = answered.load(Ordering::SeqCst) - u32::from(way == Way::ToSource);
            let here = match self.phase {
                Phase::DiskCopy | Phase::DiskMirror => {
                    let of_disk = (stream, way) == (STREAMS, Way::ToDestination);
                    let memory_sent = migration.answered[1].load(Ordering::SeqCst) > 1;
                    let mirrors = self.phase == Phase::DiskMirror;
                    of_disk && passed >= 2 && memory_sent == mirrors
                }
                phase => phase.place() == (stream, way, passed),
            };
            if here && !migration.harmless && !migration.struck.swap(true, Ordering::SeqCst) {
                match &self.fault {
                    None => {}
                    Some(Fault::Reset) => {
                        migration.sockets.lock().unwrap().iter().for_each(reset);
                        return;
                    }
                    Some(Fault::StreamDies) => {
                        reset(&from);
                        reset(&to);
                        return;
                    }
                    Some(Fault::Stall) => {
                        // The migration's list keeps the sockets open.
                        migration.stalled[stream as usize].store(true, Ordering::SeqCst);
                    }
                    Some(Fault::ElsewhereAndStall(act)) => {
                        migration.stalled[stream as usize].store(true, Ordering::SeqCst);
                        act();
                    }
                    Some(Fault::HalfClose) => {
                        let _ = to.shutdown(Shutdown::Write);
                        // The sender goes on for as long as it likes.
                        let _ = io::copy(&mut from, &mut io::sink());
                        return;
                    }
                    Some(Fault::SlowReader) => slow = true,
                    Some(Fault::Downgrade | Fault::EndHandshake) => {}
                    // TLS's length has its upper byte first, at 3.
                    Some(Fault::CorruptLength) => {
                        record[if head == TLS_HEAD { 3 } else { 1 }] ^= 0x40
                    }
                    Some(Fault::CorruptHead) => record[head] ^= 0x01,
                    Some(Fault::CorruptEnd) => *record.last_mut().unwrap() ^= 0x80,
                    Some(Fault::Truncate) => {
                        let half = record.len() / 2;
                        let _ = to.write_all(&record[..half]);
                        break;
                    }
                    Some(Fault::Duplicate) => copies = 2,
                    Some(Fault::Forge { .. }) => {
                        let mut forged = FORGED.encode().to_vec();
                        forged.resize(PREFIX_LEN + FORGED.body as usize - 1, 0x5a);
                        migration.forge(&forged);
                        migration.forging.store(true, Ordering::SeqCst);
                    }
                    Some(Fault::Elsewhere(act)) => {
                        act();
                        if self.phase == Phase::FinalAcknowledgement {
                            break;
                        }
                    }
                }
            }
            if migration.stalled[stream as usize].load(Ordering::SeqCst) {
                return;
            }
            for _ in 0..copies {
                let sent = if slow {
                    trickle(&record, &mut to)
                } else {
                    to.write_all(&record)
                };
                if sent.is_err() {
                    break;
                }
            }
            if forge_now && way == Way::ToDestination {
                let began = Instant::now();
                while began.elapsed() < migration.withheld {
                    std::hint::spin_loop();
                }
                migration.complete_forgery();
            }
        }
        // Ends go on: whoever still reads sees that nothing more will come.
        for socket in [&from, &to] {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Sends in small pieces with pauses, far below any timeout.
fn trickle(record: &[u8], to: &mut TcpStream) -> io::Result<()> {
    for piece in record.chunks(16 << 10) {
        std::thread::sleep(Duration::from_millis(2));
        to.write_all(piece)?;
    }
    Ok(())
}

/// Resets a connection, whoever else holds its socket: connecting to no family aborts it, see
/// connect(2).
fn reset(socket: &TcpStream) {
    // SAFETY: an address of no family, all zero, with its size.
    let none: libc::sockaddr = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, the address outlives the call.
    unsafe {
        libc::connect(
            socket.as_raw_fd(),
            &raw const none,
            size_of::<libc::sockaddr>() as u32,
        );
    }
}
