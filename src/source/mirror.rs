//! The disk's stream at the source, from the side of the driver: its thread, and how it fares.

use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::crypto;
use crate::meter::StageTimes;
use crate::record::RecordError;
use crate::source::disk::{DiskOrder, SourceDisk};
use crate::source::disk_stream::{DiskSent, DiskStream, STAGES};

/// The running stream of the guest's disk.
pub struct Mirror {
    disk: Arc<SourceDisk>,
    socket: TcpStream,
    orders: Sender<DiskOrder>,
    copied: Receiver<()>,
    failed: Receiver<RecordError>,
    told: Arc<Mutex<DiskSent>>,
    thread: JoinHandle<StageTimes<STAGES>>,
}

impl Mirror {
    /// Starts the thread of an open stream; from now on the guest's writes may be mirrored.
    ///
    /// # Errors
    /// If the system has no room for it.
    pub fn start(disk: Arc<SourceDisk>, stream: DiskStream) -> std::io::Result<Mirror> {
        let ((orders, received), (copied, is_copied)) = (channel(), channel());
        let (failed, failure) = channel();
        let (told, socket) = (stream.told(), stream.handle()?);
        let thread = std::thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || {
                crypto::guard_stack();
                stream.run(&received, &copied, |error| {
                    // Whoever asks for it may have gone.
                    let _ = failed.send(error);
                })
            })?;
        disk.attach(orders.clone());
        Ok(Mirror {
            disk,
            socket,
            orders,
            copied: is_copied,
            failed: failure,
            told,
            thread,
        })
    }

    /// Copies the disk; returns when all of it stands at the destination. Writes are mirrored from then on.
    ///
    /// # Errors
    /// What broke.
    pub fn copy(&mut self) -> Result<(), RecordError> {
        // A thread that is gone has told why.
        let _ = self.orders.send(DiskOrder::Copy);
        let _ = self.copied.recv();
        self.check()
    }

    /// Whether the destination has all that it should have.
    ///
    /// # Errors
    /// What broke, once; also the guest's own writes.
    pub fn check(&self) -> Result<(), RecordError> {
        if let Ok(error) = self.failed.try_recv() {
            return Err(error);
        }
        match self.disk.failure() {
            None => Ok(()),
            Some(text) => Err(RecordError::Disk(std::io::Error::other(text))),
        }
    }

    /// What it did so far.
    pub fn sent(&self) -> DiskSent {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks the stream: nobody waits for the destination any more.
    pub fn shut_down(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Ends the stream; what it did, and its CPU time by stage.
    pub fn close(self) -> (DiskSent, Option<StageTimes<STAGES>>) {
        // A write that is still under way stays what it is in the source's file.
        self.shut_down();
        self.disk.detach();
        drop(self.orders);
        let times = self.thread.join().ok();
        let sent = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        (sent, times)
    }
}
