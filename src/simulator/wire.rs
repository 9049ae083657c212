//! The byte stream under a connection, with the power to end it in ways that a well-behaved server does not.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ConnectionEnd {
    /// As HTTP would have it.
    #[default]
    Proper,
    /// With a reset when it is closed.
    Reset,
    /// With a reset when what has been written is flushed.
    ResetAfterFlush,
    /// After this many more bytes have been written.
    Cut(usize),
    /// When what has been written is flushed.
    HangUpAfterFlush,
    /// Now.
    HangUp,
}

/// What the calls of a connection know of it: a way to choose its end.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionHandle(Arc<Mutex<ConnectionEnd>>);

impl ConnectionHandle {
    /// Resets the connection when it is closed, instead of closing it in order.
    pub(super) fn reset(&self) {
        *self.connection_end() = ConnectionEnd::Reset;
    }

    /// Resets the connection after the next reply.
    pub(super) fn reset_after_reply(&self) {
        *self.connection_end() = ConnectionEnd::ResetAfterFlush;
    }

    /// Closes the connection after this many more bytes.
    pub(super) fn cut_after(&self, bytes: usize) {
        *self.connection_end() = ConnectionEnd::Cut(bytes);
    }

    /// Closes the connection after the next reply, without announcing it.
    pub(super) fn hang_up(&self) {
        *self.connection_end() = ConnectionEnd::HangUpAfterFlush;
    }

    fn connection_end(&self) -> MutexGuard<'_, ConnectionEnd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's stream.
pub(super) struct Wire {
    stream: TcpStream,
    line: ConnectionHandle,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> (Self, ConnectionHandle) {
        let line = ConnectionHandle::default();
        (
            Self {
                stream,
                line: line.clone(),
            },
            line,
        )
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if *self.line.connection_end() == ConnectionEnd::Reset {
            // With no time to linger the kernel throws away what is unsent and resets. A failure here leaves an orderly close, which a
            // test of resets sees.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if matches!(
            *self.line.connection_end(),
            ConnectionEnd::HangUp | ConnectionEnd::Reset
        ) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let connection_end = *self.line.connection_end();
        let ConnectionEnd::Cut(left) = connection_end else {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        };
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let piece = &bytes[..left.min(bytes.len())];
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, piece))?;
        *self.line.connection_end() = ConnectionEnd::Cut(left - written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let mut connection_end = self.line.connection_end();
        let end = match *connection_end {
            ConnectionEnd::HangUpAfterFlush => Some(ConnectionEnd::HangUp),
            ConnectionEnd::ResetAfterFlush => Some(ConnectionEnd::Reset),
            _ => None,
        };
        if let Some(end) = end {
            *connection_end = end;
            // The reader may be waiting on the socket already, and has to look again.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if *self.line.connection_end() == ConnectionEnd::Reset {
            // An orderly shutdown would tell the client more than a reset does.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
