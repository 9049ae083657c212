//! A connection to the broker that breaks again and again.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use rand::{RngExt as _, rngs::StdRng};

/// Bytes that a listener has sent, about, when it begins to acknowledge.
const HANDSHAKE: usize = 550;

/// Passes connections on to a port, and cuts each when the client has said so much.
pub(crate) struct Cutter {
    port: u16,
    cuts: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Cutter {
    pub(crate) fn before(target: u16, mut random: StdRng) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (cuts, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let cutter = Self {
            port,
            cuts: Arc::clone(&cuts),
            is_over: Arc::clone(&is_over),
        };
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (
                    client.expect("a connection"),
                    TcpStream::connect(("127.0.0.1", target)).expect("a broker"),
                );
                let limit = HANDSHAKE + random.random_range(0..250);
                let (mut from, mut to) = (
                    server.try_clone().expect("a stream"),
                    client.try_clone().expect("a stream"),
                );
                thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (cuts, is_over) = (Arc::clone(&cuts), Arc::clone(&is_over));
                thread::spawn(move || pass_until(limit, client, server, &cuts, &is_over));
            }
        });
        cutter
    }

    /// Where a client finds it.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How often it has cut a connection, or a client has ended one.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }

    /// Lets everything pass from now on.
    pub(crate) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn pass_until(
    limit: usize,
    mut client: TcpStream,
    mut server: TcpStream,
    cuts: &AtomicUsize,
    is_over: &AtomicBool,
) {
    let (mut passed, mut buffer) = (0, [0; 4096]);
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let room = if is_over.load(Ordering::Relaxed) {
            count
        } else {
            count.min(limit.saturating_sub(passed))
        };
        passed += count;
        // In the middle of a frame as a rule.
        if server.write_all(&buffer[..room]).is_err() || room < count {
            break;
        }
    }
    cuts.fetch_add(1, Ordering::Relaxed);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
