//! The stream threads, from their start to their end.

use crate::crypto;
use crate::destination::stream_thread::{STAGES, StreamError, StreamThread};
use crate::meter::StageTimes;
use crate::results::Warning;
use crate::transport::Calls;

/// What the stream threads came to.
#[derive(Default)]
pub(super) struct Received {
    /// CPU time of memory's streams, and the calls on their sockets.
    pub(super) ended: Vec<(StageTimes<STAGES>, Calls)>,
    /// CPU time of the disk's stream, if there was one.
    pub(super) of_disk: Option<StageTimes<STAGES>>,
    /// The first failure.
    pub(super) failure: Option<String>,
    /// The first record that was not due after the guest's fate had been decided.
    pub(super) late: Option<StreamError>,
}

/// What is to be said of a record that was not due when the guest's fate had been decided.
pub(super) fn late_record(error: StreamError) -> Warning {
    Warning {
        code: "late_record".to_owned(),
        message: format!(
            "destination: {error}; the guest's fate had been decided before, so it changed nothing"
        ),
        remedy: "look at the network between the hosts: somebody or something changes what is sent"
            .to_owned(),
    }
}

/// Runs the stream threads to their end: the CPU time of memory's, and of the disk's if there is one; the first failure, by the time at which it
/// was noticed; and the first record that was not due after the guest's fate had been decided. By then
/// everything that was due has come: how a stream with nothing left to carry ended is no failure.
pub(super) fn receive(threads: Vec<StreamThread>) -> Received {
    let (sender, failures) = std::sync::mpsc::channel();
    let threads: Vec<_> = threads
        .into_iter()
        .enumerate()
        .map(|(stream, thread)| {
            let sender = sender.clone();
            let is_of_disk = thread.is_of_disk();
            let thread = std::thread::Builder::new()
                .name(format!("stream-{stream}"))
                .spawn(move || {
                    crypto::guard_stack();
                    thread.run(|error, decided| {
                        // The receiver outlives the stream threads.
                        let _ = sender.send((error, decided));
                    })
                });
            (is_of_disk, thread)
        })
        .collect();
    drop(sender);
    let (mut ended, mut of_disk) = (Vec::new(), None);
    let mut unstarted = None;
    for (is_of_disk, thread) in threads {
        match thread {
            Ok(thread) if is_of_disk => of_disk = thread.join().ok().map(|(times, _)| times),
            Ok(thread) => ended.extend(thread.join().ok()),
            Err(error) => unstarted = Some(format!("starting a stream's thread: {error}")),
        }
    }
    let (mut failure, mut late) = (None, None);
    for (error, decided) in failures {
        match decided {
            false => failure.get_or_insert(error),
            true if error.is_loss() => continue,
            true => late.get_or_insert(error),
        };
    }
    let failure = failure.map(|error| error.to_string()).or(unstarted);
    Received {
        ended,
        of_disk,
        failure,
        late,
    }
}
