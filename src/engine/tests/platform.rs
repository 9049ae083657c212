//! The scripted platform of the engine's tests.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    gateway::{Gateway, Handover, Outgoing, SendReport},
    model::{Answer, Element, SendResult, Ticket, Timestamp},
};

/// What the platform does with the n-th request (from 0).
pub(super) type Script = Box<dyn Fn(usize, &Outgoing) -> SendResult + Send + Sync>;

/// A platform that follows a script, keeps account of what it accepted, and notices devices that are in two requests at a time.
pub(super) struct Platform {
    script: Script,
    requests: AtomicUsize,
    /// A request that is under way waits here until the test lets it go on.
    pub(super) hold: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_ticket: u64,
    /// Tickets by device, in the order in which they were given.
    tickets: HashMap<String, Vec<String>>,
    under_way: HashSet<(String, String)>,
    /// The data sent to each device, in order.
    sent: Vec<(String, String)>,
    sizes: Vec<usize>,
}

/// A request that is under way until it is answered or its sender dies.
struct UnderWay<'p> {
    platform: &'p Platform,
    keys: Vec<(String, String)>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // A test that has failed already poisons the lock.
        if let Ok(mut state) = self.platform.state.lock() {
            for key in &self.keys {
                state.under_way.remove(key);
            }
        }
    }
}

impl Platform {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            requests: AtomicUsize::new(0),
            hold: watch::channel(false).0,
            state: Mutex::default(),
        }
    }

    /// Requests that it has seen.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// How many devices each request had, in order.
    pub(super) fn sizes(&self) -> Vec<usize> {
        self.state.lock().unwrap().sizes.clone()
    }

    /// Devices and data in the order in which they were sent.
    pub(super) fn sent(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().sent.clone()
    }

    /// Every ticket that was given, as `device|ticket`.
    pub(super) fn given(&self) -> HashSet<String> {
        let state = self.state.lock().unwrap();
        let tickets = |(device, tickets): (&String, &Vec<String>)| {
            let of_device = tickets.iter().map(|ticket| format!("{device}|{ticket}"));
            of_device.collect::<Vec<_>>()
        };
        state.tickets.iter().flat_map(tickets).collect()
    }
}

impl Gateway for Platform {
    async fn send(&self, request: Outgoing, handover: Handover) -> SendReport {
        assert!(handover.hand_over(), "it was withdrawn before it began");
        let n = self.requests.fetch_add(1, Ordering::SeqCst);
        let keys: Vec<(String, String)> = request
            .devices
            .iter()
            .map(|device| (request.payload.product_key.to_string(), device.to_string()))
            .collect();
        let _under_way = UnderWay {
            platform: self,
            keys: keys.clone(),
        };
        {
            let mut state = self.state.lock().unwrap();
            state.sizes.push(keys.len());
            for key in &keys {
                assert!(
                    state.under_way.insert(key.clone()),
                    "{key:?} is in two requests"
                );
                state
                    .sent
                    .push((key.1.clone(), request.payload.data.to_string()));
            }
        }
        // Others get a chance to run, so that requests do overlap.
        tokio::task::yield_now().await;
        let mut result = (self.script)(n, &request);
        let mut hold = self.hold.subscribe();
        hold.wait_for(|hold| !hold).await.unwrap();
        let mut state = self.state.lock().unwrap();
        if let SendResult::Answered(answer) = &mut result {
            for (element, device) in answer.elements.iter_mut().zip(&request.devices) {
                let Some(element) = element else { continue };
                if element.code == Some(200) {
                    state.next_ticket += 1;
                    let ticket = format!("{}", 1_335_004_867_605_954_560 + state.next_ticket);
                    element.ticket = Ticket::new(&ticket);
                    state
                        .tickets
                        .entry(device.to_string())
                        .or_default()
                        .push(ticket);
                }
            }
        }
        SendReport {
            sent_at: Timestamp(1_763_838_149_123),
            latency: Duration::from_millis(1),
            result,
        }
    }
}

/// A reply that is readable, with this top-level code and nothing of any device.
pub(super) fn reply(code: i64) -> Answer {
    Answer {
        http_status: 200,
        readable: true,
        code: Some(code),
        ..Answer::default()
    }
}

/// A refusal or failure of the whole request.
pub(super) fn code(code: i64) -> SendResult {
    SendResult::Answered(reply(code))
}

/// A reply with a code for each device.
pub(super) fn elements(request: &Outgoing, code: impl Fn(&str) -> Option<i64>) -> SendResult {
    SendResult::Answered(Answer {
        elements: request
            .devices
            .iter()
            .map(|device| {
                code(device).map(|code| Element {
                    code: Some(code),
                    ..Element::default()
                })
            })
            .collect(),
        ..reply(200)
    })
}

/// A reply in which every device accepts.
pub(super) fn accepted(request: &Outgoing) -> SendResult {
    elements(request, |_| Some(200))
}

/// A request whose reply never arrived.
pub(super) fn lost() -> SendResult {
    SendResult::Lost {
        http_status: None,
        error: "connection reset".into(),
    }
}
