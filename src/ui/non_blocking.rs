//! A writer for stderr that never blocks: another thread does the writing, so a full pipe does not delay a push.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

/// Writes that may wait for a reader. What comes on top of them is lost, as it would be without a reader.
const WAITING: usize = 4096;
/// How long the end of the process waits for a reader who takes nothing.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// A writer that never blocks.
pub(super) struct NonBlockingWriter {
    bytes: SyncSender<Vec<u8>>,
}

/// Tells of each write that has gone through, and ends with the last of them.
pub(super) struct Written(Receiver<()>);

impl NonBlockingWriter {
    /// Writes to `sink` from another thread.
    pub(super) fn new(mut sink: impl Write + Send + 'static) -> io::Result<(Self, Written)> {
        let (bytes, to_write) = sync_channel::<Vec<u8>>(WAITING);
        let (done, written) = sync_channel(1);
        thread::Builder::new()
            .name("stderr".to_owned())
            .spawn(move || {
                for bytes in to_write {
                    // A reader who has gone is nobody to tell of it.
                    let _ = sink.write_all(&bytes).and_then(|()| sink.flush());
                    // One sign of life that waits to be seen is enough.
                    let _ = done.try_send(());
                }
            })?;
        Ok((Self { bytes }, Written(written)))
    }
}

impl Write for NonBlockingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.bytes.try_send(bytes.to_vec()) {
            Ok(()) | Err(TrySendError::Full(_)) => Ok(bytes.len()),
            Err(TrySendError::Disconnected(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// Waits until all has been written, for as long as somebody reads. The writer must have been dropped.
    pub(super) fn wait(&self) {
        while self.0.recv_timeout(FLUSH_TIMEOUT).is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_is_written_in_order_before_the_wait_is_over() {
        let kept = Kept::default();
        let (mut writer, written) = NonBlockingWriter::new(kept.clone()).unwrap();
        let mut expected = String::new();
        for n in 0..1000 {
            let line = format!("line {n}\n");
            writer.write_all(line.as_bytes()).unwrap();
            expected.push_str(&line);
        }
        drop(writer);
        written.wait();
        assert_eq!(*kept.0.lock().unwrap(), expected.as_bytes());
    }

    #[test]
    fn a_reader_who_takes_nothing_holds_up_neither_the_writes_nor_the_end() {
        let (_reader, pipe) = io::pipe().unwrap();
        let (mut writer, written) = NonBlockingWriter::new(pipe).unwrap();
        for _ in 0..2 * WAITING {
            writer.write_all(&[b'x'; 1024]).unwrap();
        }
        drop(writer);
        written.wait();
    }
}
