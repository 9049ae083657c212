use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};

use super::*;

const RULES: Rules = Rules {
    max_attempts: 5,
    max_snooze: Duration::from_hours(1),
    in_doubt: InDoubt::Resend,
    retry_offline: 0,
    offline_delay: Duration::from_mins(30),
};
const NOW: Timestamp = Timestamp(1_000_000);

fn outcome(class: Class) -> Outcome {
    Outcome {
        class,
        code: None,
        message: None,
        ticket: None,
    }
}

fn after(class: Class, history: History, rules: &Rules, seed: u64) -> (Option<Duration>, History) {
    let mut random = SmallRng::seed_from_u64(seed);
    match dispose(&outcome(class), history, NOW, rules, &mut random) {
        (Disposition::Again { due_at }, history) => (Some(NOW.until(due_at)), history),
        (Disposition::End(_), history) => (None, history),
    }
}

#[test]
fn what_ends_and_how() {
    let mut random = SmallRng::seed_from_u64(1);
    let once = Rules {
        max_attempts: 1,
        max_snooze: Duration::ZERO,
        ..RULES
    };
    let hold = Rules {
        in_doubt: InDoubt::Hold,
        ..RULES
    };
    for (class, rules, state) in [
        (Class::Accepted, RULES, TaskState::Accepted),
        (Class::Rejected, RULES, TaskState::Failed),
        (Class::Offline, RULES, TaskState::Failed),
        (Class::Transient, once, TaskState::Failed),
        (Class::Frequency, once, TaskState::Failed),
        (Class::Quota, once, TaskState::Failed),
        (Class::InDoubt, once, TaskState::InDoubt),
        (Class::InDoubt, hold, TaskState::InDoubt),
    ] {
        let (disposition, history) = dispose(
            &outcome(class),
            History::default(),
            NOW,
            &rules,
            &mut random,
        );
        assert_eq!(disposition, Disposition::End(state), "{class:?}");
        assert_eq!(history.sends, 1, "{class:?}");
    }
}

#[test]
fn the_budget_is_used_up_by_transient_failures_and_doubts_alone() {
    for (class, used) in [
        (Class::Transient, 1),
        (Class::InDoubt, 1),
        (Class::Frequency, 0),
        (Class::Quota, 0),
        (Class::Outage, 0),
        (Class::Auth, 0),
        (Class::Refused, 0),
    ] {
        let (again, history) = after(class, History::default(), &RULES, 1);
        assert!(again.is_some(), "{class:?}");
        assert_eq!((history.sends, history.attempts), (1, used), "{class:?}");
    }
    for class in [Class::Transient, Class::InDoubt] {
        let so_far = |attempts| History {
            sends: 9,
            attempts,
            ..History::default()
        };
        assert!(
            after(class, so_far(3), &RULES, 1).0.is_some(),
            "the 5th follows"
        );
        assert_eq!(
            after(class, so_far(4), &RULES, 1).0,
            None,
            "the 5th was the last"
        );
    }
}

#[test]
fn a_doubt_is_repeated_after_1_s_doubling_to_30_s() {
    let rules = Rules {
        max_attempts: 100,
        ..RULES
    };
    let mut history = History::default();
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        let (again, next) = after(Class::InDoubt, history, &rules, 1);
        assert_eq!(again, Some(Duration::from_secs(seconds)));
        history = next;
    }
}

#[test]
fn a_device_that_wanted_a_pause_gets_it_before_its_next_task() {
    let after = |class, last, throttles| {
        let history = History {
            throttles,
            ..History::default()
        };
        next_task_at(&outcome(class), last, history, NOW).map(|at| NOW.until(at))
    };
    let (accepted, frequency) = (Class::Accepted, Some(Class::Frequency));
    assert_eq!(after(accepted, frequency, 1), Some(Duration::from_secs(2)));
    assert_eq!(after(accepted, frequency, 3), Some(Duration::from_secs(8)));
    assert_eq!(after(accepted, None, 0), None);
    assert_eq!(after(accepted, Some(Class::Quota), 1), None);
    assert_eq!(after(Class::Rejected, frequency, 1), None);
}

#[test]
fn a_device_that_wanted_no_pause_gets_none_before_its_next_task() {
    let accepted = outcome(Class::Accepted);
    let never = History::default();
    assert_eq!(
        next_task_at(&accepted, Some(Class::Frequency), never, NOW),
        None
    );
}

#[test]
fn pauses_that_add_up_to_what_is_allowed_are_allowed() {
    for class in [Class::Frequency, Class::Quota] {
        let (_, history) = after(class, History::default(), &RULES, 7);
        let rules = |max_snooze| Rules {
            max_snooze,
            ..RULES
        };
        let just = rules(history.snoozed);
        assert!(after(class, History::default(), &just, 7).0.is_some());
        let less = rules(history.snoozed.mul_f64(0.999));
        assert!(after(class, History::default(), &less, 7).0.is_none());
    }
}

#[test]
fn the_longest_pause_has_room_for_the_jitter_of_a_quota() {
    let often = History {
        throttles: 10,
        ..History::default()
    };
    let pauses = (0..100).filter_map(|seed| after(Class::Quota, often, &RULES, seed).0);
    let longest = pauses.max().unwrap();
    assert!(longest > Duration::from_mins(15), "chance adds to it");
    let hurried = Rules {
        offline_delay: Duration::ZERO,
        ..RULES
    };
    assert!(longest <= longest_pause(&hurried));
}

#[test]
fn a_crash_uses_no_attempt() {
    let before = History {
        sends: 4,
        attempts: 4,
        ..History::default()
    };
    let (disposition, history) = after_crash(before, NOW, InDoubt::Resend);
    assert_eq!(
        disposition,
        Disposition::Again {
            due_at: NOW.after(Duration::from_secs(1))
        }
    );
    assert_eq!((history.sends, history.attempts), (5, 4));
    let (disposition, _) = after_crash(before, NOW, InDoubt::Hold);
    assert_eq!(disposition, Disposition::End(TaskState::InDoubt));
}

#[test]
fn an_offline_device_is_tried_again_as_often_as_asked_for() {
    let rules = Rules {
        retry_offline: 2,
        ..RULES
    };
    let (again, once) = after(Class::Offline, History::default(), &rules, 1);
    assert_eq!(again, Some(Duration::from_mins(30)));
    let (again, twice) = after(Class::Offline, once, &rules, 1);
    assert!(again.is_some());
    assert_eq!((twice.offline_retries, twice.attempts), (2, 0));
    assert_eq!(after(Class::Offline, twice, &rules, 1).0, None);
}

#[test]
fn probes_follow_the_platforms_wish_within_reason() {
    let seconds = Duration::from_secs;
    for (failed, expected) in [(0, 1), (1, 2), (5, 32), (6, 60), (u32::MAX, 60)] {
        assert_eq!(probe_delay(failed, None), seconds(expected));
    }
    assert_eq!(probe_delay(9, Some(seconds(0))), seconds(1));
    assert_eq!(probe_delay(0, Some(seconds(42))), seconds(42));
    assert_eq!(probe_delay(0, Some(seconds(301))), seconds(300));
}

#[test]
fn the_longest_pause_follows_the_rules() {
    let patient = Rules {
        offline_delay: Duration::from_hours(12),
        ..RULES
    };
    let longest = longest_pause(&patient);
    assert!(longest > Duration::from_hours(12) && longest < Duration::from_secs(43_201));
    let hasty = Rules {
        offline_delay: Duration::ZERO,
        ..RULES
    };
    assert!(longest_pause(&hasty) < Duration::from_mins(17));
}

proptest! {
    #[test]
    fn snoozes_double_to_their_cap_and_lengthen_by_a_tenth_at_most(throttles in 0_u32..40, quota: bool, seed: u64) {
        let (class, first, most) = if quota { (Class::Quota, 30, 900) } else { (Class::Frequency, 2, 60) };
        let history = History { throttles, ..History::default() };
        let (again, next) = after(class, history, &RULES, seed);
        let base = (f64::from(first) * 2_f64.powi(throttles as i32)).min(f64::from(most));
        let pause = again.unwrap().as_secs_f64();
        prop_assert!((base..=base * 1.1 + 0.25).contains(&pause), "{pause} after {throttles}");
        prop_assert_eq!(next.throttles, throttles + 1);
        prop_assert!(next.snoozed.as_secs_f64() >= base && next.snoozed.as_secs_f64() <= base * 1.1);
        prop_assert_eq!(next.attempts, 0);
    }

    #[test]
    fn snoozes_end_when_their_sum_is_too_much(snoozed in 0_u64..7200, seed: u64) {
        let history = History { snoozed: Duration::from_secs(snoozed), ..History::default() };
        let (again, next) = after(Class::Frequency, history, &RULES, seed);
        prop_assert_eq!(again.is_some(), next.snoozed <= RULES.max_snooze);
    }

    #[test]
    fn nothing_is_put_off_beyond_the_longest_pause(
        class in prop::sample::select(&Class::ALL[..]), spent in 0_u32..40, offline_delay in 0_u64..100_000, seed: u64,
    ) {
        let rules = Rules {
            max_attempts: 100,
            max_snooze: Duration::from_hours(1000),
            retry_offline: 100,
            offline_delay: Duration::from_secs(offline_delay),
            ..RULES
        };
        let history = History { sends: spent, attempts: spent, throttles: spent, ..History::default() };
        if let Some(pause) = after(class, history, &rules, seed).0 {
            prop_assert!(pause <= longest_pause(&rules), "{pause:?}");
        }
    }

    #[test]
    fn backoff_stays_in_its_bounds(attempts in 0_u32..40, seed: u64) {
        let rules = Rules { max_attempts: 100, ..RULES };
        let history = History { sends: attempts, attempts, ..History::default() };
        let most = (2.0 * 2_f64.powi(attempts as i32)).min(300.0);
        let pause = after(Class::Transient, history, &rules, seed).0.unwrap().as_secs_f64();
        prop_assert!(pause <= most + 0.25, "{pause} after {attempts}");
    }

    #[test]
    fn a_slot_begins_within_250_ms_after_the_time(ms in -10_000_000_i64..10_000_000_000_000) {
        let Timestamp(slot) = next_slot(Timestamp(ms));
        prop_assert_eq!(slot % 250, 0);
        prop_assert!((0..250).contains(&(slot - ms)));
    }
}

#[test]
fn jitter_is_full() {
    let pauses: Vec<Duration> = (0..200)
        .filter_map(|seed| after(Class::Transient, History::default(), &RULES, seed).0)
        .collect();
    let shorter = pauses.iter().filter(|pause| pause.as_secs() < 1).count();
    assert!((60..140).contains(&shorter), "{shorter} of 200");
    assert!(
        pauses
            .iter()
            .any(|pause| *pause <= Duration::from_millis(250))
    );
    assert!(
        pauses
            .iter()
            .any(|pause| *pause >= Duration::from_millis(1750))
    );
}
