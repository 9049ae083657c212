//! Pushes against a limit that nobody tells, in virtual time: the pace as it is, a platform with a limit, and what lies between them. A
//! minute of it takes a few milliseconds, and the same seed plays the same again.
//!
//! What differs from a real push: a push always has more to send, and there are no outages, so that a refusal is what it is with 429.

mod known;
mod sharing;
mod stalls;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use known::Known;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use sharing::Sharing;
use stalls::Stalls;

use crate::{
    simulator::limiter::{Admission, Limiter, RequestLimit},
    throttle::{Ceilings, Controller, Ticket, Wait},
};

/// A request takes from so many to so many seconds, and a timer is late by so many at most.
const LATENCY: (f64, f64) = (0.02, 0.05);
const LATE_TIMER: f64 = 0.0012;
/// What is played.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The ceiling of each push in requests a second.
    pub ceiling: Option<f64>,
    /// The most requests in flight of each push.
    pub concurrency: usize,
    /// The limit of the platform, and from a moment on another one.
    pub limit: Option<RequestLimit>,
    /// When the limit changes, in seconds, and to what.
    pub then: Option<(f64, Option<RequestLimit>)>,
    /// The share of requests that are refused whatever the limit says.
    pub accidents: f64,
    /// For how long such a refusal asks to wait, in seconds.
    pub accidents_ask: Option<u64>,
    /// A request reaches the platform up to so many seconds late, and its reply comes back up to so many seconds late.
    pub late: (f64, f64),
    /// A push, and the platform, stand still every so many seconds as a mean, for up to so many seconds: what has come meanwhile is read at
    /// the end of it. So it is on a busy machine.
    pub stalls: Option<(f64, f64)>,
    /// The platform has been there for up to so many seconds before the play begins, so that no window of its begins with a push.
    pub older: f64,
    /// When each push begins and ends, in seconds.
    pub pushes: Vec<(f64, f64)>,
    /// The pushes find nothing and keep to this pace, and to `concurrency` in flight, because they know the limit.
    pub known: Option<Known>,
    /// The pushes share an account, as those do that have one results database.
    pub shares: bool,
}

/// What one push came to.
#[derive(Debug, Default)]
pub struct Played {
    /// When replies to requests that were taken came, and to those that were refused, in seconds.
    pub accepted: Vec<f64>,
    /// When refusals came.
    pub refused: Vec<f64>,
    /// What it says at the end that the platform takes: requests a second, and in flight.
    pub found: Option<f64>,
    /// Requests in flight.
    pub found_in_flight: Option<usize>,
    /// What it said of these on the way, and when.
    pub told_in_flight: Vec<(f64, usize)>,
}

impl Trial {
    /// One push at `--rate 400` and `--concurrency 16` against a limit.
    pub fn of(limit: Option<RequestLimit>) -> Self {
        Self {
            ceiling: Some(400.0),
            concurrency: 16,
            limit,
            then: None,
            accidents: 0.0,
            accidents_ask: None,
            late: (0.0, 0.0),
            stalls: None,
            older: 1.0,
            pushes: vec![(0.0, f64::INFINITY)],
            known: None,
            shares: false,
        }
    }

    /// From sending a request to its reply, in seconds, as a mean.
    pub fn round_trip(&self) -> f64 {
        f64::midpoint(LATENCY.0, LATENCY.1) + f64::midpoint(self.late.0, self.late.1)
    }

    /// Plays so many seconds.
    pub fn play(&self, seconds: f64, seed: u64) -> Vec<Played> {
        let mut world = World::new(self.clone(), seed);
        world.until(seconds);
        world.pushes.into_iter().map(Push::played).collect()
    }
}

impl Played {
    /// How many were taken in a stretch of time.
    pub fn accepted_between(&self, from: f64, to: f64) -> f64 {
        between(&self.accepted, from, to)
    }

    /// How many were refused in a stretch of time.
    pub fn refusals_between(&self, from: f64, to: f64) -> f64 {
        between(&self.refused, from, to)
    }

    /// The share of requests that were refused in a stretch of time.
    pub fn refused_between(&self, from: f64, to: f64) -> f64 {
        let refused = self.refusals_between(from, to);
        refused / (refused + self.accepted_between(from, to)).max(1.0)
    }
}

fn between(times: &[f64], from: f64, to: f64) -> f64 {
    times.iter().filter(|at| (from..to).contains(*at)).count() as f64
}

/// What happens at a moment, in nanoseconds, to the request of a push with this ticket.
type Happening = (u64, usize, usize, What);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrives,
    /// The platform has done with a request that it had taken.
    IsDone,
    /// Taken or refused, and for how long nothing is to be sent.
    IsAnswered(bool, Option<u64>),
}

/// What a push goes by.
enum Pace {
    Found(Box<Controller>),
    Known(Known),
}

struct Push {
    pace: Pace,
    stalls: Stalls,
    /// Of each request, when a controller decides.
    tickets: Vec<Option<Ticket>>,
    in_flight: usize,
    /// When it looks for something to do.
    wakes: f64,
    begins: f64,
    ends: f64,
    played: Played,
}

impl Push {
    fn played(self) -> Played {
        let (found, found_in_flight) = match &self.pace {
            Pace::Found(controller) => (controller.found(), controller.found_in_flight()),
            Pace::Known(_) => (None, None),
        };
        Played {
            found,
            found_in_flight,
            ..self.played
        }
    }
}

struct World {
    trial: Trial,
    limiter: Limiter,
    /// For how long the platform has been there when the play begins, in seconds.
    older: f64,
    stalls: Stalls,
    random: SmallRng,
    epoch: Instant,
    now: f64,
    pushes: Vec<Push>,
    sharing: Sharing,
    happenings: BinaryHeap<Reverse<Happening>>,
}

impl World {
    fn new(trial: Trial, seed: u64) -> Self {
        let epoch = Instant::now();
        let ceilings = Ceilings {
            requests: trial.ceiling,
            devices: None,
        };
        let pace = |begins: f64| match trial.known {
            Some(known) => Pace::Known(known.from(begins)),
            None => Pace::Found(Box::new(Controller::new(
                ceilings,
                trial.concurrency,
                None,
                epoch + Duration::from_secs_f64(begins),
            ))),
        };
        // The platform's, and those of each push.
        let mut seeds = (1..).map(|nth: u64| seed ^ (nth << 32));
        let stalls = Stalls::new(seed ^ (1 << 40));
        let begin = |(begins, ends): &(f64, f64)| Push {
            pace: pace(*begins),
            stalls: Stalls::new(seeds.next().unwrap_or_default()),
            tickets: Vec::new(),
            in_flight: 0,
            wakes: *begins,
            begins: *begins,
            ends: *ends,
            played: Played::default(),
        };
        let pushes = trial.pushes.iter().map(begin).collect();
        let share: f64 = SmallRng::seed_from_u64(seed ^ (1 << 41)).random_range(0.0..1.0);
        Self {
            older: trial.older * share,
            trial,
            limiter: Limiter::default(),
            stalls,
            random: SmallRng::seed_from_u64(seed),
            epoch,
            now: 0.0,
            pushes,
            sharing: Sharing::default(),
            happenings: BinaryHeap::new(),
        }
    }

    /// Plays on until this time, in seconds.
    fn until(&mut self, end: f64) {
        loop {
            let happens = self
                .happenings
                .peek()
                .map_or(f64::INFINITY, |Reverse((at, ..))| *at as f64 / 1e9);
            let wakes = self
                .pushes
                .iter()
                .map(|push| push.wakes)
                .fold(f64::INFINITY, f64::min);
            let next = happens.min(wakes);
            if next >= end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if let Some((at, _)) = self.trial.then
                && at <= self.now
                && let Some((_, limit)) = self.trial.then.take()
            {
                self.trial.limit = limit;
            }
            if self.trial.shares {
                let now = (self.now, self.instant());
                self.sharing.look(&self.trial, &mut self.pushes, now);
            }
            if happens <= wakes {
                self.happen();
            } else if let Some(push) = self.pushes.iter().position(|push| push.wakes <= self.now) {
                self.wake(push);
            }
        }
    }

    fn instant(&self) -> Instant {
        self.epoch + Duration::from_secs_f64(self.now)
    }

    fn chance(&mut self, (from, to): (f64, f64)) -> f64 {
        if from < to {
            self.random.random_range(from..to)
        } else {
            from
        }
    }

    fn schedule(&mut self, after: f64, push: usize, ticket: usize, what: What) {
        let at = ((self.now + after) * 1e9) as u64;
        self.happenings.push(Reverse((at, push, ticket, what)));
    }

    /// Lets a push send what it may, and look again when it says.
    fn wake(&mut self, nth: usize) {
        let (now, epoch) = (self.instant(), self.epoch);
        let late = self.random.random_range(0.0..LATE_TIMER);
        let push = &mut self.pushes[nth];
        if let Some(stalls) = self.trial.stalls {
            let seen_at = push.stalls.seen_at(self.now, stalls);
            if seen_at > self.now {
                push.wakes = seen_at;
                return;
            }
        }
        push.wakes = f64::INFINITY;
        if self.now >= push.ends || push.in_flight >= self.trial.concurrency {
            return;
        }
        let taken = match &mut push.pace {
            Pace::Found(controller) => controller.take(1, now).map(Some),
            Pace::Known(known) => known
                .take(self.now)
                .map(|()| None)
                .map_err(|due| Wait::Until(epoch + Duration::from_secs_f64(due))),
        };
        match taken {
            Ok(ticket) => {
                push.tickets.push(ticket);
                push.in_flight += 1;
                push.wakes = self.now;
                let ticket = push.tickets.len() - 1;
                let late = self.chance((0.0, self.trial.late.0));
                self.schedule(late, nth, ticket, What::Arrives);
            }
            Err(Wait::Until(due)) => {
                push.wakes = due.duration_since(epoch).as_secs_f64() + late;
            }
            Err(Wait::InFlight) => {}
        }
    }

    fn happen(&mut self) {
        let Some(Reverse((_, push, ticket, what))) = self.happenings.pop() else {
            return;
        };
        if let Some(stalls) = self.trial.stalls {
            // A reply is written by the platform before it is read.
            let written_at = self.stalls.seen_at(self.now, stalls);
            let seen_at = match what {
                What::IsAnswered(..) => self.pushes[push].stalls.seen_at(self.now, stalls),
                What::Arrives | What::IsDone => written_at,
            };
            let seen_at = seen_at.max(written_at);
            if seen_at > self.now {
                // Times are whole nanoseconds.
                self.schedule(seen_at - self.now + 1e-9, push, ticket, what);
                return;
            }
        }
        match what {
            What::Arrives => self.arrive(push, ticket),
            What::IsDone => self.limiter.ended(),
            What::IsAnswered(taken, hold) => {
                let now = self.instant();
                let push = &mut self.pushes[push];
                push.in_flight -= 1;
                let hold = hold.map(Duration::from_secs);
                if taken {
                    push.played.accepted.push(self.now);
                } else {
                    push.played.refused.push(self.now);
                }
                match (&mut push.pace, push.tickets[ticket]) {
                    (Pace::Found(controller), Some(ticket)) => {
                        controller.returned(ticket, now);
                        if taken {
                            controller.accepted(ticket, now);
                        } else {
                            controller.refused(ticket, hold, now);
                        }
                        let told = push.played.told_in_flight.last().map(|(_, told)| *told);
                        if let Some(found) = controller.found_in_flight()
                            && told != Some(found)
                        {
                            push.played.told_in_flight.push((self.now, found));
                        }
                    }
                    (Pace::Known(known), _) => {
                        let asked = hold.unwrap_or_default().as_secs_f64();
                        known.due = known.due.max(self.now + asked);
                    }
                    (Pace::Found(_), None) => {}
                }
                push.wakes = self.now;
            }
        }
    }

    /// A request reaches the platform.
    fn arrive(&mut self, push: usize, ticket: usize) {
        let at = Duration::from_secs_f64(self.older + self.now);
        let latency = self.chance(LATENCY);
        let late = self.chance((0.0, self.trial.late.1));
        let is_accident =
            self.trial.accidents > 0.0 && self.random.random_bool(self.trial.accidents);
        let admission = match &self.trial.limit {
            _ if is_accident => None,
            Some(limit) => Some((self.limiter.ask(limit, at), Some(limit))),
            None => {
                self.limiter.begun();
                let queued = Duration::ZERO;
                Some((Admission::Taken { queued }, None))
            }
        };
        let (taken, queued, hold) = match admission {
            Some((Admission::Taken { queued }, _)) => (true, queued.as_secs_f64(), None),
            Some((Admission::Refused { room_after }, limit)) => (
                false,
                0.0,
                limit.and_then(|limit| limit.asks_for(room_after)),
            ),
            None => (false, 0.0, self.trial.accidents_ask),
        };
        if taken {
            self.schedule(queued + latency, push, ticket, What::IsDone);
        }
        self.schedule(
            queued + latency + late,
            push,
            ticket,
            What::IsAnswered(taken, hold),
        );
    }
}
