//! Decides how fast requests go, and how many are in flight, from what became of those before: a pure state machine.
//!
//! The limit on the rate is measured by the clock: see `measure`. Whatever the rate, the number in flight is kept below what `flight`
//! finds to be the most.

mod lower;
mod measure;
mod told;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use measure::Limit;

use super::{
    Ceilings,
    accidents::Accidents,
    flight::{Doubt, Flights, Most},
    meter::Record,
    schedule::{Limits, SLACK, Schedule},
};

/// The rate to begin with when there is no ceiling, in requests a second: slow enough to be refused little, and soon left behind.
const START: f64 = 60.0;
/// The share of the ceiling to begin with.
const START_SHARE: f64 = 0.8;
/// Ceilings up to this need no gentleness, in requests a second; and at such a rate a pause costs little.
const SLOW: f64 = 5.0;
/// The least rate that refusals lower to, in requests a second.
const FLOOR: f64 = 0.5;

/// A request that has had no answer for so long is not waited for, in seconds, beyond twice the usual.
const OVERDUE: f64 = 0.5;
/// So many of the last requests show how fast they really go.
const RECENT: usize = 9;

/// A request on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ticket {
    number: u64,
    sent_at: f64,
    /// The rate at which it went.
    rate: f64,
}

/// Why a request may not go yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Until(Instant),
    /// Until another one has returned.
    InFlight,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    Taken,
    Refused,
    /// Refused, perhaps because the limit in flight that was found is lower by now.
    TooMany,
    /// Nothing that concerns the pace.
    Nothing,
}

#[derive(Debug)]
struct Sent {
    at: f64,
    back: Option<f64>,
    said: Option<Said>,
}

/// Decides.
#[derive(Debug)]
pub(crate) struct Controller {
    epoch: Instant,
    /// Infinite when there is none.
    ceiling: f64,
    devices: Option<f64>,
    concurrency: usize,
    /// So many of these may be used at present.
    usable: usize,
    /// What was begun with, and the present rate.
    start: f64,
    rate: f64,
    most: Most,
    limit: Option<Limit>,
    schedule: Schedule,
    /// Requests of which is not known yet what they came to, or which were sent after such a one; the number of the first.
    sent: VecDeque<Sent>,
    first: u64,
    in_flight: usize,
    latency: f64,
    /// So many bunches have to be explained by one meter.
    wanted: usize,
    /// Whether the last ones were explained by none.
    doubted: bool,
    /// When an explanation was looked for last.
    fitted_at: f64,
    /// How many of late were taken and refused, since when, without an explanation.
    unexplained: (f64, f64),
    unexplained_from: f64,
    /// When the last requests were sent.
    departures: VecDeque<f64>,
    flights: Flights,
    accidents: Accidents,
    record: Record,
    /// How many were taken, since when.
    taken: f64,
    taken_from: f64,
    last_taken: f64,
    /// How many were taken and refused since the last bunch of refusals was understood.
    since_bunch: (f64, f64),
    /// The bunch: its first refusal, what was sent before its end, and whether it is understood.
    bunch: Option<u64>,
    bunch_ends: f64,
    bunch_open: bool,
    /// When sending went on after the bunch, and after the one before.
    resumed: [f64; 2],
    /// The most that the platform takes a second, as the last two bunches showed.
    bounds: VecDeque<f64>,
    /// When refusals ask to go on; how long the last one asked to wait; and when it is wise to go on.
    asked_until: f64,
    asked: f64,
    wait_until: f64,
    /// Whether one request alone is to find out whether any are taken.
    trying: bool,
    /// The rate that was told last, or the highest since.
    told: f64,
}

impl Controller {
    /// Begins at the rate that was `found` before, or gently below the ceiling.
    pub(crate) fn new(
        ceilings: Ceilings,
        concurrency: usize,
        found: Option<f64>,
        now: Instant,
    ) -> Self {
        let ceiling = ceilings.requests.unwrap_or(f64::INFINITY);
        let concurrency = concurrency.max(1);
        // A rate that was found in a trough would be left behind slowly.
        let found = found.filter(|found| *found > SLOW.min(ceiling));
        let rate = match found {
            Some(found) => found,
            None if ceiling <= SLOW => ceiling,
            None => (ceiling * START_SHARE).min(START),
        };
        Self {
            epoch: now,
            ceiling,
            devices: ceilings.devices,
            concurrency,
            usable: concurrency,
            start: rate,
            rate,
            most: Most::new(concurrency),
            limit: found.map(Limit::remembered),
            schedule: Schedule::default(),
            sent: VecDeque::new(),
            first: 0,
            in_flight: 0,
            latency: 0.05,
            wanted: measure::WANTED,
            doubted: false,
            fitted_at: 0.0,
            unexplained: (0.0, 0.0),
            unexplained_from: 0.0,
            departures: VecDeque::new(),
            flights: Flights::new(concurrency),
            accidents: Accidents::default(),
            record: Record::default(),
            taken: 0.0,
            taken_from: 0.0,
            last_taken: 0.0,
            since_bunch: (0.0, 0.0),
            bunch: None,
            bunch_ends: -1.0,
            bunch_open: false,
            resumed: [0.0; 2],
            bounds: VecDeque::new(),
            asked_until: 0.0,
            asked: 0.0,
            wait_until: 0.0,
            trying: false,
            told: rate,
        }
    }

    /// The present rate in requests a second; `None` when nothing limits it.
    pub(crate) fn rate(&self) -> Option<f64> {
        Some(self.present()).filter(|rate| rate.is_finite())
    }

    fn present(&self) -> f64 {
        self.rate.min(self.ceiling)
    }

    /// Sets other ceilings, and how many requests may be in flight within the concurrency.
    pub(crate) fn set_ceilings(&mut self, ceilings: Ceilings, in_flight: usize) {
        self.ceiling = ceilings.requests.unwrap_or(f64::INFINITY);
        self.devices = ceilings.devices;
        self.usable = in_flight.clamp(1, self.concurrency);
    }

    /// The ceiling in devices a second.
    pub(super) fn devices(&self) -> Option<f64> {
        self.devices
    }

    /// Sends a request of so many devices, or says what to wait for.
    pub(crate) fn take(&mut self, devices: usize, now: Instant) -> Result<Ticket, Wait> {
        let at = self.seconds(now);
        if self.bunch_open {
            self.understand(at);
        }
        self.rise(at);
        let most = if self.trying { 1 } else { self.most.now(at) };
        if self.in_flight >= most.min(self.usable) {
            return Err(Wait::InFlight);
        }
        let until = self.asked_until.max(self.wait_until);
        if until > at {
            return Err(Wait::Until(
                self.epoch + Duration::from_secs_f64(until) + Duration::from_nanos(1),
            ));
        }
        let limits = Limits {
            requests: self.rate(),
            devices: self.devices,
            slack: self.slack(),
        };
        self.schedule
            .take(devices, limits, now)
            .map_err(Wait::Until)?;
        if self.resumed[0] <= self.bunch_ends {
            self.resumed[0] = at;
        }
        self.departures.push_back(at);
        if self.departures.len() > RECENT {
            self.departures.pop_front();
        }
        let number = self.first + self.sent.len() as u64;
        self.sent.push_back(Sent {
            at,
            back: None,
            said: None,
        });
        self.in_flight += 1;
        self.most.sent(self.in_flight, 1.0 / self.present(), at);
        Ok(Ticket {
            number,
            sent_at: at,
            rate: self.paced(),
        })
    }

    /// A request has come back, whatever it says. This is to be told once for each, and before what it says.
    pub(crate) fn returned(&mut self, ticket: Ticket, now: Instant) {
        let now = self.seconds(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        let took = now - ticket.sent_at;
        let share = if took > self.latency { 4.0 } else { 16.0 };
        self.latency += (took - self.latency) / share;
        if let Some(sent) = self.of(ticket) {
            sent.back = Some(now);
        }
        if self.most.returned(now) {
            self.flights.begin_anew();
        }
    }

    /// The platform has taken a request.
    pub(crate) fn accepted(&mut self, ticket: Ticket, now: Instant) {
        self.note(ticket, Said::Taken);
        self.last_taken = self.last_taken.max(ticket.sent_at);
        self.accidents.accepted(ticket.rate);
        self.as_if_accepted(ticket.sent_at);
        self.understand(self.seconds(now));
    }

    /// A request has ended in a way that says nothing of the pace.
    pub(super) fn silent(&mut self, ticket: Ticket, now: Instant) {
        self.note(ticket, Said::Nothing);
        self.understand(self.seconds(now));
    }

    /// The platform has refused a request because there are too many, and may ask for nothing before `hold` has passed.
    pub(crate) fn refused(&mut self, ticket: Ticket, hold: Option<Duration>, now: Instant) {
        let now = self.seconds(now);
        self.asked = hold.map_or(0.0, |hold| hold.as_secs_f64());
        if hold.is_some() {
            self.asked_until = self.asked_until.max(now + self.asked);
        }
        let begins = ticket.sent_at > self.bunch_ends;
        let said = if self.most.refused(now) {
            Said::Nothing
        } else if begins {
            self.what_it_means(ticket, hold.is_some(), now)
        } else {
            Said::Refused
        };
        self.note(ticket, said);
        match said {
            Said::Refused if begins => self.begin_bunch(ticket, now),
            Said::Refused => {}
            Said::Nothing | Said::TooMany | Said::Taken => self.as_if_accepted(ticket.sent_at),
        }
        self.understand(now);
    }

    /// What the first refusal of a bunch speaks against.
    fn what_it_means(&mut self, ticket: Ticket, asks: bool, now: f64) -> Said {
        let doubt = self.most.doubt(now);
        if matches!(doubt, Doubt::First | Doubt::Refuted) {
            self.flights.begin_anew();
        }
        if matches!(doubt, Doubt::First | Doubt::More) {
            return Said::TooMany;
        }
        if self.is_accident(ticket.rate, asks, now) {
            Said::Nothing
        } else {
            Said::Refused
        }
    }

    fn note(&mut self, ticket: Ticket, said: Said) {
        if let Some(sent) = self.of(ticket) {
            sent.said = Some(said);
        }
    }

    fn begin_bunch(&mut self, ticket: Ticket, now: f64) {
        self.bunch = Some(ticket.number);
        self.bunch_ends = now;
        self.bunch_open = true;
        self.resumed = [self.resumed[0], self.resumed[0]];
        let is_known = self.limit.is_some_and(|limit| limit.confirmed.is_some());
        self.wait_until = now
            + if is_known {
                1.0 / self.present()
            } else {
                // Until it is understood.
                OVERDUE + 2.0 * self.latency
            };
    }

    /// Moves to the record what is known in the order of sending, and understands a bunch of refusals when all of it is known.
    fn understand(&mut self, now: f64) {
        let overdue = now - OVERDUE - 2.0 * self.latency;
        while let Some(front) = self.sent.front()
            && (front.said.is_some() || front.at < overdue)
        {
            let Some(sent) = self.sent.pop_front() else {
                break;
            };
            let number = self.first;
            self.first += 1;
            match sent.said {
                Some(Said::Taken) => {
                    self.flights.count(sent.at, sent.back.unwrap_or(now), true);
                    self.taken += 1.0;
                    self.since_bunch.0 += 1.0;
                    self.record.taken(sent.at);
                }
                Some(Said::Refused) => {
                    self.flights.count(sent.at, sent.back.unwrap_or(now), false);
                    self.since_bunch.1 += 1.0;
                    self.record.refused(sent.at, self.bunch == Some(number));
                }
                Some(Said::TooMany) => {
                    self.flights.count(sent.at, sent.back.unwrap_or(now), false);
                }
                Some(Said::Nothing) | None => {}
            }
        }
        self.limit_in_flight(now);
        if self.bunch_open
            && self
                .sent
                .front()
                .is_none_or(|front| front.at > self.bunch_ends)
        {
            self.bunch_open = false;
            self.judge(now);
        } else {
            self.look_beyond(now);
        }
    }

    /// The rate that requests really go out at: a rate that has met no limit may be far above it.
    fn paced(&self) -> f64 {
        let sent = self.departures.len();
        match self.limit {
            Some(_) => self.present(),
            None if sent < 4 => self.present().min(self.start),
            None => {
                let span = self.departures[sent - 1] - self.departures[0];
                self.present().min((sent - 1) as f64 / span.max(1e-3))
            }
        }
    }

    /// The same, but for the beginning, when too little has been sent to tell: the rate that was begun with is a gentle one.
    fn held(&self) -> f64 {
        self.paced().max(self.present().min(self.start))
    }

    fn floor(&self) -> f64 {
        FLOOR.min(self.ceiling)
    }

    /// How late a request may be without the next one being late, too. A platform without a burst does not bear two close together.
    fn slack(&self) -> Option<Duration> {
        let limit = self.limit?;
        let burst = limit.fit.map_or(1.0, |fit| fit.burst);
        let spare = (burst - 1.0) / 2.0 / self.present();
        Some(Duration::try_from_secs_f64(spare).map_or(SLACK, |spare| spare.min(SLACK)))
    }

    fn of(&mut self, ticket: Ticket) -> Option<&mut Sent> {
        let index = usize::try_from(ticket.number.checked_sub(self.first)?).ok()?;
        self.sent.get_mut(index)
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.epoch).as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
