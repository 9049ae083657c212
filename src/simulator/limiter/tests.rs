use super::*;

/// What becomes of requests at these times, in milliseconds: the wait in the queue, or when there will be room.
fn asked(limit: &str, times: &[u64]) -> Vec<Result<u128, u128>> {
    let limit = limit.parse().unwrap();
    let mut limiter = Limiter::default();
    times
        .iter()
        .map(|&at| match limiter.ask(&limit, Duration::from_millis(at)) {
            Admission::Taken { queued } => Ok(queued.as_millis()),
            Admission::Refused { room_after } => Err(room_after.as_millis()),
        })
        .collect()
}

#[test]
fn a_token_bucket_lets_a_burst_through_and_then_the_rate() {
    assert_eq!(
        asked("token-bucket:10,burst=3", &[0, 0, 0, 0, 50, 100, 150, 220]),
        [
            Ok(0),
            Ok(0),
            Ok(0),
            Err(100),
            Err(50),
            Ok(0),
            Err(50),
            Ok(0)
        ],
        "a fifth of a token is not lost"
    );
    assert_eq!(
        asked(
            "token-bucket:10,burst=2,count-refused=yes",
            &[0, 0, 0, 0, 0, 0]
        ),
        [Ok(0), Ok(0), Err(200), Err(300), Err(300), Err(300)],
        "the debt has an end"
    );
}

#[test]
fn a_fixed_window_takes_its_number_and_a_new_one_takes_it_again() {
    assert_eq!(
        asked(
            "fixed-window:2,window=1s",
            &[900, 950, 960, 1000, 1001, 1002, 2500]
        ),
        [Ok(0), Ok(0), Err(40), Ok(0), Ok(0), Err(998), Ok(0)]
    );
}

#[test]
fn a_sliding_window_looks_back() {
    assert_eq!(
        asked(
            "sliding-window:2,window=1s",
            &[0, 600, 900, 1000, 1100, 1600]
        ),
        [Ok(0), Ok(0), Err(100), Ok(0), Err(500), Ok(0)]
    );
    assert_eq!(
        asked(
            "sliding-window:2,window=1s,count-refused=yes",
            &[0, 600, 900, 1000]
        ),
        [Ok(0), Ok(0), Err(700), Err(900)],
        "whoever goes on is refused for good"
    );
}

#[test]
fn a_leaky_bucket_delays_what_waits() {
    assert_eq!(
        asked("leaky-bucket:10,queue=2", &[0, 0, 0, 0, 100, 1000]),
        [Ok(0), Ok(100), Ok(200), Err(100), Ok(200), Ok(0)]
    );
    assert_eq!(
        asked("leaky-bucket:10,queue=0", &[0, 99, 100]),
        [Ok(0), Err(1), Ok(0)]
    );
}

#[test]
fn only_so_many_are_in_flight() {
    let limit = "in-flight:2".parse().unwrap();
    let mut limiter = Limiter::default();
    let taken = |limiter: &mut Limiter| {
        matches!(limiter.ask(&limit, Duration::ZERO), Admission::Taken { .. })
    };
    assert!(taken(&mut limiter) && taken(&mut limiter));
    assert!(!taken(&mut limiter));
    limiter.ended();
    assert!(taken(&mut limiter));
    assert!(!taken(&mut limiter));
}

#[test]
fn what_a_refusal_asks_for_is_whole_seconds() {
    let limit: RequestLimit = "in-flight:2,retry-after=yes".parse().unwrap();
    for (millis, asked) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (9400, 10)] {
        assert_eq!(limit.asks_for(Duration::from_millis(millis)), Some(asked));
    }
    let silent: RequestLimit = "in-flight:2".parse().unwrap();
    assert_eq!(silent.asks_for(Duration::from_secs(1)), None);
}

#[test]
fn a_limit_is_written_as_it_is_read() {
    for text in [
        "token-bucket:40,burst=10,refuse=503,retry-after=yes,count-refused=no",
        "fixed-window:40,window=1000ms,refuse=429,retry-after=no,count-refused=no",
        "sliding-window:40,window=250ms,refuse=429,retry-after=no,count-refused=yes",
        "leaky-bucket:0.5,queue=20,refuse=429,retry-after=no,count-refused=no",
        "in-flight:8,refuse=503,retry-after=no,count-refused=no",
    ] {
        let limit: RequestLimit = text.parse().unwrap();
        assert_eq!(limit.to_string(), text);
    }
    for text in [
        "",
        "40",
        "bucket:40",
        "token-bucket:0",
        "token-bucket:NaN",
        "token-bucket:40,burst=0.5",
        "token-bucket:40,queue=1",
        "fixed-window:40",
        "fixed-window:40,window=10",
        "fixed-window:1.5,window=1s",
        "sliding-window:40,window=0s",
        "leaky-bucket:40,queue=-1",
        "in-flight:0",
        "in-flight:8,refuse=500",
        "in-flight:8,retry-after=1",
        "in-flight:8,burst=2",
        "in-flight:8,",
    ] {
        let error = text.parse::<RequestLimit>().unwrap_err().to_string();
        assert!(
            error.contains("token-bucket:40,burst=10"),
            "{text}: {error}"
        );
    }
}
