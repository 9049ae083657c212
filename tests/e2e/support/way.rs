//! A way to a port that can be closed and opened again.

use std::{
    io::copy,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Passes connections on for as long as it is open.
pub(crate) struct Way {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    streams: Vec<TcpStream>,
}

impl Way {
    /// An open way to this port of ours.
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let way = Self {
            port: listener.local_addr().expect("it is bound").port(),
            state: Arc::default(),
        };
        let state = Arc::clone(&way.state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.is_closed {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let copied = |stream: &TcpStream| stream.try_clone().expect("a stream");
                    let (mut from, mut to) = (copied(from), copied(to));
                    thread::spawn(move || {
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
                state.streams.extend([client, server]);
            }
        });
        way
    }

    /// The port that stands for the other one.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends all connections, and lets no other one through.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_closed = true;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub(crate) fn open(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_closed = false;
    }
}
