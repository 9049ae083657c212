//! Whether the platform is there: a state machine over what requests came to, without a clock of its own.

use std::time::Duration;

use crate::{
    engine::Pause,
    model::{RequestId, Timestamp},
    policy::probe_delay,
};

/// What is known of the platform.
#[derive(Debug)]
pub(super) struct Outage {
    patience: Duration,
    /// Since when no request has been answered for reasons of the platform as a whole, and what it said last.
    trouble: Option<(Timestamp, String)>,
    pause: Option<Probing>,
}

#[derive(Debug)]
struct Probing {
    failed: u32,
    probe_at: Timestamp,
    /// The probe under way.
    probe: Option<RequestId>,
}

impl Outage {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            trouble: None,
            pause: None,
        }
    }

    /// Whether nothing but probes may be sent.
    pub(super) fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Whether a probe should be sent now.
    pub(super) fn wants_probe(&self, now: Timestamp) -> bool {
        self.pause
            .as_ref()
            .is_some_and(|pause| pause.probe.is_none() && pause.probe_at <= now)
    }

    /// When a probe should be sent, if not now.
    pub(super) fn next_probe(&self) -> Option<Timestamp> {
        self.pause
            .as_ref()
            .filter(|pause| pause.probe.is_none())
            .map(|pause| pause.probe_at)
    }

    /// The time at which to give up, and why.
    pub(super) fn give_up(&self) -> Option<(Timestamp, &str)> {
        self.trouble
            .as_ref()
            .map(|(since, reason)| (since.after(self.patience), reason.as_str()))
    }

    /// Notes that this request is the probe.
    pub(super) fn probing(&mut self, request: RequestId) {
        if let Some(pause) = &mut self.pause {
            pause.probe = Some(request);
        }
    }

    /// The platform answered. Gives how long it had not, when that had been a pause.
    pub(super) fn reached(&mut self, now: Timestamp) -> Option<Duration> {
        let trouble = self.trouble.take();
        self.pause.take()?;
        trouble.map(|(since, _)| since.until(now))
    }

    /// The platform said that there are too many requests: it is there, but nothing gets through.
    pub(super) fn throttled(&mut self, request: RequestId, now: Timestamp, reason: String) {
        self.note(now, reason);
        self.silent(request, now);
    }

    /// The platform is out of reach. Gives the pause when there is news of it.
    pub(super) fn out_of_reach(
        &mut self,
        request: RequestId,
        now: Timestamp,
        retry_after: Option<Duration>,
        reason: String,
    ) -> Option<Pause> {
        self.note(now, reason.clone());
        let failed = match &self.pause {
            None => 0,
            Some(pause) if pause.probe == Some(request) => pause.failed + 1,
            // It was under way when the pause began.
            Some(_) => return None,
        };
        let probe_at = now.after(probe_delay(failed, retry_after));
        self.pause = Some(Probing {
            failed,
            probe_at,
            probe: None,
        });
        let give_up_at = self.give_up().map_or(now, |(at, _)| at);
        Some(Pause {
            reason,
            probe_at,
            give_up_at,
        })
    }

    /// Nothing can be learned from this request; if it was the probe, another one is needed.
    pub(super) fn silent(&mut self, request: RequestId, now: Timestamp) {
        if let Some(pause) = &mut self.pause
            && pause.probe == Some(request)
        {
            pause.failed += 1;
            pause.probe = None;
            pause.probe_at = now.after(probe_delay(pause.failed, None));
        }
    }

    fn note(&mut self, now: Timestamp, reason: String) {
        let since = self.trouble.take().map_or(now, |(since, _)| since);
        self.trouble = Some((since, reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RequestId = RequestId(1);
    const B: RequestId = RequestId(2);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    #[test]
    fn pauses_probes_ever_more_rarely_and_resumes() {
        let mut outage = Outage::new(Duration::from_mins(30));
        let pause = outage
            .out_of_reach(A, at(0), None, "refused".into())
            .unwrap();
        assert_eq!((pause.probe_at, pause.give_up_at), (at(1), at(1800)));
        // Another request that was under way is no news.
        assert_eq!(outage.out_of_reach(B, at(0), None, "refused".into()), None);
        let mut now = at(1);
        for wait in [2, 4, 8, 16, 32, 60, 60] {
            assert!(outage.wants_probe(now));
            outage.probing(B);
            assert!(!outage.wants_probe(now), "one probe at a time");
            let pause = outage.out_of_reach(B, now, None, "refused".into()).unwrap();
            assert_eq!(now.until(pause.probe_at), Duration::from_secs(wait));
            now = pause.probe_at;
        }
        outage.probing(A);
        assert_eq!(outage.reached(now), Some(at(0).until(now)));
        assert!(!outage.is_paused());
        assert_eq!(outage.give_up(), None);
    }

    #[test]
    fn a_probe_that_says_nothing_is_repeated() {
        let mut outage = Outage::new(Duration::from_mins(30));
        outage.out_of_reach(A, at(0), None, "refused".into());
        outage.probing(B);
        outage.silent(A, at(1));
        assert_eq!(outage.next_probe(), None, "the probe is under way");
        outage.silent(B, at(1));
        assert_eq!(outage.next_probe(), Some(at(3)));
    }

    #[test]
    fn the_platform_may_ask_for_a_longer_pause_within_reason() {
        let mut outage = Outage::new(Duration::from_mins(30));
        let asked = |seconds| Some(Duration::from_secs(seconds));
        let pause = outage
            .out_of_reach(A, at(0), asked(7), "503".into())
            .unwrap();
        assert_eq!(pause.probe_at, at(7));
        outage.probing(B);
        let pause = outage
            .out_of_reach(B, at(7), asked(1 << 40), "503".into())
            .unwrap();
        assert_eq!(pause.probe_at, at(307));
    }

    #[test]
    fn refusals_for_their_number_count_as_trouble_until_one_is_answered() {
        let mut outage = Outage::new(Duration::from_mins(1));
        outage.throttled(A, at(5), "429".into());
        outage.throttled(B, at(9), "429 again".into());
        assert_eq!(outage.give_up(), Some((at(65), "429 again")));
        assert!(!outage.is_paused());
        outage.reached(at(10));
        assert_eq!(outage.give_up(), None);
    }
}
