//! Sockets: the listener, its connections, and the outages in which it closes them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
};

use super::{
    platform::{Platform, Playing},
    router,
    scenario::{Outage, Scenario},
    wire::Wire,
};

/// How long the server waits when it cannot open its port again or accept a connection: somebody else has taken the port, or all file
/// descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// The segments of an Ethernet, in bytes. With those of loopback, which are as large as a packet can be, the kernel takes four
/// megabytes of a call that nobody reads; with these it takes less than one, as it does over a network.
const SEGMENT: u32 = 1460;

/// Serves until the sender of `stop` is gone, and closes every connection then.
pub(super) async fn run(
    listener: TcpListener,
    addr: SocketAddr,
    platform: Arc<Platform>,
    stop: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    tokio::select! {
        _ = stop => {}
        () = accept(Some(listener), addr, platform, &mut connections) => {}
    }
    connections.shutdown().await;
}

/// Accepts connections for ever; closes the port, and opens it again, as outages begin and end.
async fn accept(
    mut listener: Option<TcpListener>,
    addr: SocketAddr,
    platform: Arc<Platform>,
    connections: &mut JoinSet<()>,
) {
    let mut scenario = platform.watch();
    loop {
        let Some(open) = &listener else {
            wait_until_over(&mut scenario, &platform).await;
            match open_port(addr, &platform.playing().scenario).await {
                Ok(opened) => listener = Some(opened),
                Err(error) => {
                    tracing::debug!(%addr, %error, "the simulator cannot open its port again yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => match accepted {
                Ok((stream, _)) => {
                    platform.counters.lock().connections += 1;
                    connections.spawn(connection(stream, Arc::clone(&platform)));
                }
                Err(error) => {
                    tracing::debug!(%error, "the simulator cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = wait_until_closed(&mut scenario, &platform) => listener = None,
        }
    }
}

fn is_closed(playing: &Playing, platform: &Platform) -> bool {
    playing.outage(platform.now()) == Outage::Closed
}

/// Waits for an outage that closes the port.
async fn wait_until_closed(scenario: &mut watch::Receiver<Arc<Playing>>, platform: &Platform) {
    // The sender lives as long as the platform, so there is always another scenario to wait for.
    let _ = scenario
        .wait_for(|playing| is_closed(playing, platform))
        .await;
}

/// Waits for the end of that outage, which comes with another scenario or by itself.
async fn wait_until_over(scenario: &mut watch::Receiver<Arc<Playing>>, platform: &Platform) {
    loop {
        let playing = Arc::clone(&scenario.borrow_and_update());
        if !is_closed(&playing, platform) {
            return;
        }
        match playing.outage_left(platform.now()) {
            Some(left) => {
                let _ = tokio::time::timeout(left, scenario.changed()).await;
            }
            None => {
                let _ = scenario.changed().await;
            }
        }
    }
}

async fn connection(stream: TcpStream, platform: Arc<Platform>) {
    // A reply is one write, which Nagle's algorithm would only hold back.
    let _ = stream.set_nodelay(true);
    let mut scenario = platform.watch();
    let (wire, line) = Wire::new(stream);
    let serve = service_fn(|request| router::serve(&platform, line.clone(), request));
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(wire), serve);
    let ended = tokio::select! {
        ended = connection => ended,
        // The reply to the very call that closes the port is written in the same step, before this is looked at.
        () = wait_until_closed(&mut scenario, &platform) => return,
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection of the simulator ended early");
    }
}

/// Opens the port. Only loopback: the simulator takes any credentials that it is not told to refuse.
pub(super) async fn listen(addr: SocketAddr, scenario: &Scenario) -> io::Result<TcpListener> {
    if !addr.ip().is_loopback() {
        let refusal = format!(
            "the simulator listens on loopback only, and {addr} is not: use 127.0.0.1 or [::1]"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, refusal));
    }
    open_port(addr, scenario).await
}

async fn open_port(addr: SocketAddr, scenario: &Scenario) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(addr).await?;
    if scenario.faults.keys().any(|fault| fault.leaves_unread()) {
        SockRef::from(&listener).set_tcp_mss(SEGMENT)?;
    }
    Ok(listener)
}
