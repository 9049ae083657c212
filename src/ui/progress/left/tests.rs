//! The estimate over simulated pushes: what it says each second, held against the time that the push then really takes.

use super::*;

/// A fleet whose devices take a command every so often, as the platform limits them.
#[derive(Debug, Clone, Copy)]
struct Fleet {
    devices: usize,
    /// Commands for each device.
    tasks: u64,
    /// Every how manieth device is limited; the others have one command each.
    limited: usize,
    /// How long a limited device takes no other command.
    every: u64,
    /// Requests each second, of a hundred devices each.
    rate: u64,
}

/// How long a request takes, in milliseconds.
const LATENCY: u64 = 200;
/// Commands in one request.
const CHUNK: usize = 100;
/// How often the estimate hears of the push, in milliseconds.
const STEP: u64 = 50;

#[derive(Debug, Clone, Default)]
struct Device {
    left: u64,
    limited: bool,
    /// When it took a command last.
    last: Option<u64>,
    throttled: u32,
    due: u64,
    in_flight: bool,
}

/// What the estimate said in each second, and the time that was really left.
fn play(fleet: Fleet) -> Vec<(Left, f64)> {
    let mut devices: Vec<Device> = (0..fleet.devices)
        .map(|place| {
            let limited = place % fleet.limited == 0;
            Device {
                left: if limited { fleet.tasks } else { 1 },
                limited,
                ..Device::default()
            }
        })
        .collect();
    let tasks: u64 = devices.iter().map(|device| device.left).sum();
    let mut estimate = Estimate::new(Counts {
        tasks,
        pending: tasks,
        ..Counts::default()
    });
    let mut sent: Vec<(u64, Vec<usize>)> = Vec::new();
    let (mut said, mut requests, mut credit) = (Vec::new(), 0, 0);
    // The same numbers each time, and no pattern in them.
    let mut random = 1_u64;
    let mut jitter = move |most: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % (most + 1)
    };
    for now in (300..).step_by(STEP as usize) {
        let (back, under_way) = sent.into_iter().partition(|(at, _)| at + LATENCY <= now);
        sent = under_way;
        for place in back.into_iter().flat_map(|(_, places)| places) {
            let device = &mut devices[place];
            device.in_flight = false;
            let early = device
                .last
                .is_some_and(|last| device.limited && now < last + fleet.every * 1000);
            if early {
                // The design's snooze: 2 s, doubling to 60 s, up to 10 % more, in slots of 250 ms.
                let pause = (2_000 << device.throttled.min(5)).min(60_000);
                device.throttled += 1;
                device.due = (now + pause + jitter(pause / 10)).next_multiple_of(250);
            } else {
                device.last = Some(now);
                device.throttled = 0;
                device.left -= 1;
            }
        }
        credit = (credit + fleet.rate * STEP).min(1000);
        let ready = |device: &Device| device.left > 0 && !device.in_flight && device.due <= now;
        let places: Vec<usize> = (0..devices.len())
            .filter(|place| ready(&devices[*place]))
            .take(CHUNK * (credit / 1000) as usize)
            .collect();
        for chunk in places.chunks(CHUNK) {
            for place in chunk {
                devices[*place].in_flight = true;
            }
            sent.push((now, chunk.to_vec()));
            credit -= 1000;
            requests += 1;
        }
        let pending: u64 = devices.iter().map(|device| device.left).sum();
        let waits = |device: &&Device| device.left > 0 && device.due > now;
        let counts = Counts {
            tasks,
            accepted: tasks - pending,
            pending,
            snoozing: devices.iter().filter(waits).count() as u64,
            in_flight: devices.iter().filter(|device| device.in_flight).count() as u64,
            ..Counts::default()
        };
        let due = devices.iter().map(|device| device.due).max();
        let due = due
            .filter(|due| *due > now)
            .map(|due| Timestamp(due as i64));
        estimate.take(Timestamp(now as i64), counts, requests, due);
        if now % 1000 == 0 {
            said.push((now, estimate.left(Timestamp(now as i64))));
        }
        if pending == 0 {
            return said
                .into_iter()
                .map(|(at, left)| (left, (now - at) as f64 / 1000.0))
                .collect();
        }
        assert!(now < 3_600_000, "{fleet:?} never ends");
    }
    Vec::new()
}

fn told(said: &[(Left, f64)]) -> String {
    let words: Vec<_> = said
        .iter()
        .map(|(left, truth)| match left {
            Left::Unknown => format!("{truth:.0}: ?"),
            Left::About(left) => format!("{truth:.0}: {:.0}", left.as_secs_f64()),
            Left::AtLeast(left) => format!("{truth:.0}: >={:.0}", left.as_secs_f64()),
        })
        .collect();
    words.join(", ")
}

const FREE: Fleet = Fleet {
    devices: 30_000,
    tasks: 1,
    limited: 1,
    every: 0,
    rate: 10,
};

const LIMITED: Fleet = Fleet {
    devices: 500,
    tasks: 5,
    limited: 1,
    every: 10,
    rate: 25,
};

#[test]
fn a_fleet_without_limits_is_told_its_time_after_a_moment() {
    let said = play(FREE);
    assert_eq!(said[0].0, Left::Unknown);
    for (left, truth) in &said[4..] {
        let Left::About(left) = left else {
            panic!("{}", told(&said));
        };
        assert!(
            (left.as_secs_f64() - truth).abs() <= 1.0 + truth / 10.0,
            "{}",
            told(&said)
        );
    }
}

#[test]
fn when_all_wait_for_throttled_devices_the_time_is_near_the_truth_from_the_first_round_on() {
    for fleet in [
        LIMITED,
        Fleet {
            devices: 60,
            tasks: 20,
            every: 5,
            ..LIMITED
        },
        Fleet {
            devices: 2_000,
            tasks: 3,
            every: 25,
            ..LIMITED
        },
        Fleet {
            devices: 3_000,
            tasks: 2,
            every: 60,
            ..LIMITED
        },
    ] {
        let said = play(fleet);
        let whole = said[0].1;
        let round = whole / fleet.tasks as f64;
        for (left, truth) in &said {
            let bound = match left {
                Left::Unknown => continue,
                Left::About(left) | Left::AtLeast(left) => left.as_secs_f64(),
            };
            // Never far beyond the truth, not even for a second.
            assert!(
                bound <= 2.0 + truth * 1.25,
                "{fleet:?} at {truth}: {}",
                told(&said)
            );
            // Once a round has been seen, never far below it.
            if whole - truth > 2.0 * round && *truth > round {
                assert!(
                    bound >= truth * 0.75,
                    "{fleet:?} at {truth}: {}",
                    told(&said)
                );
            }
        }
    }
}

#[test]
fn the_time_of_a_few_limited_devices_is_told_soon_after_the_others_have_ended() {
    // One in fifty takes eight commands, and these take most of the time.
    let fleet = Fleet {
        devices: 10_000,
        limited: 50,
        tasks: 8,
        every: 7,
        rate: 10,
    };
    let said = play(fleet);
    let whole = said[0].1;
    for (left, truth) in &said {
        let bound = match left {
            Left::Unknown => continue,
            Left::About(left) | Left::AtLeast(left) => left.as_secs_f64(),
        };
        assert!(bound <= 2.0 + truth * 1.25, "at {truth}: {}", told(&said));
        // The others take ten seconds, and ten more until that is seen; when the first of these devices are done, the pace falls again.
        if whole - truth > 22.0 {
            assert!(
                matches!(left, Left::AtLeast(_)) && bound >= truth / 4.0,
                "at {truth}: {}",
                told(&said)
            );
        }
    }
}

#[test]
fn nothing_is_told_of_the_first_moments() {
    let counts = |accepted, snoozing| Counts {
        tasks: 10_000,
        accepted,
        pending: 10_000 - accepted,
        snoozing,
        in_flight: 400,
        ..Counts::default()
    };
    let mut estimate = Estimate::new(counts(0, 0));
    // Two have ended in the second second: that would be hours.
    for (at, accepted) in [(500, 0), (1_500, 1), (2_000, 2)] {
        estimate.take(Timestamp(at), counts(accepted, 40), 1, None);
        assert_eq!(estimate.left(Timestamp(at)), Left::Unknown);
    }
    estimate.take(Timestamp(6_500), counts(1_001, 40), 10, None);
    assert_eq!(
        estimate.left(Timestamp(6_500)),
        Left::About(Duration::from_secs_f64(8_999.0 / 200.0))
    );
}

#[test]
fn the_time_left_is_no_shorter_than_until_the_last_task_is_due() {
    let counts = |pending, snoozing| Counts {
        tasks: 2_000,
        accepted: 2_000 - pending,
        pending,
        snoozing,
        in_flight: 16,
        ..Counts::default()
    };
    let left = |pending, snoozing, due: i64| {
        let mut estimate = Estimate::new(counts(1_000 + pending, 0));
        estimate.take(Timestamp(0), counts(999 + pending, 0), 0, None);
        let due = Some(Timestamp(10_000 + due * 1000));
        estimate.take(Timestamp(10_000), counts(pending, snoozing), 0, due);
        match estimate.left(Timestamp(10_000)) {
            Left::AtLeast(left) | Left::About(left) => Some(left.as_secs()),
            Left::Unknown => None,
        }
    };
    assert_eq!(left(500, 5, 1), Some(5), "at 99.9 a second");
    assert_eq!(left(500, 5, 900), Some(900), "the pauses last longer");
    assert_eq!(left(5, 5, 42), Some(42), "nothing else is left");
    assert_eq!(left(0, 0, 0), Some(0));
    // No pace is known of what has never ended.
    let estimate = Estimate::new(counts(2_000, 0));
    assert_eq!(estimate.left(Timestamp(60_000)), Left::Unknown);
}
