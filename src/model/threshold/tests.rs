use proptest::prelude::*;

use super::*;

fn abort_if(text: &str) -> AbortIf {
    text.parse().unwrap()
}

fn is_met(text: &str, part: u64, whole: u64) -> bool {
    abort_if(text)
        .each()
        .any(|condition| condition.is_met(part, whole))
}

#[test]
fn a_share_needs_its_minimum_and_a_number_does_not() {
    let threshold = "failed>10%,min=500";
    assert!(!is_met(threshold, 499, 499), "too few have ended");
    assert!(!is_met(threshold, 50, 500), "exactly the share is allowed");
    assert!(is_met(threshold, 51, 500));
    assert!(!is_met("never", u64::MAX, u64::MAX));
    assert!(is_met("failed>0%,min=1", 1, u64::MAX));
    assert!(!is_met("failed>0%,min=1", 0, 1));
    assert!(!is_met("rejected>50", 50, 50));
    assert!(is_met("rejected>50", 51, u64::MAX));
}

#[test]
fn a_sample_needs_no_minimum() {
    let [condition]: [Condition; 1] = abort_if("failed>10%")
        .each()
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    assert!(!condition.is_met(2, 10));
    assert!(condition.for_a_sample().is_met(2, 10));
    assert!(!condition.for_a_sample().is_met(1, 10));
    assert!(!condition.for_a_sample().is_met(0, 0));
}

#[test]
fn a_limit_stays_below_its_bound() {
    let holds = |text: &str, part, whole| text.parse::<Limit>().unwrap().holds(part, whole);
    assert!(holds("offline<5%", 4, 100));
    assert!(!holds("offline<5%", 5, 100));
    assert!(holds("offline<5%", 0, 0), "nothing is no failure");
    assert!(holds("in_doubt<3", 2, 2));
    assert!(!holds("in_doubt<3", 3, 1000));
}

#[test]
fn thresholds_print_as_they_are_written() {
    for text in [
        "never",
        "failed>10%,min=500",
        "failed>0.5%,min=1",
        "offline>30%,min=1000;rejected>50;in_doubt>2.05%,min=20",
    ] {
        assert_eq!(abort_if(text).to_string(), text);
    }
    assert_eq!(
        abort_if("min=20, failed > 1.50% ; rejected>5").to_string(),
        "failed>1.5%,min=20;rejected>5"
    );
    assert_eq!(abort_if("failed>10%").to_string(), "failed>10%,min=500");
    let mixed = abort_if("unconfirmed>5%;failed>10%;send_failed>2%,min=20;unanswered>3");
    assert_eq!(
        mixed.to_string(),
        "failed>10%,min=500;unconfirmed>5%;send_failed>2%,min=20;unanswered>3"
    );
    assert_eq!((mixed.each().count(), mixed.deliveries().len()), (1, 3));
    for text in ["nothing", "offline<5%", "offline<5%;in_doubt<10"] {
        assert_eq!(text.parse::<Tolerate>().unwrap().to_string(), text);
    }
}

#[test]
fn a_bad_threshold_says_what_to_write() {
    let error = |text: &str| text.parse::<AbortIf>().unwrap_err().to_string();
    assert!(error("min=5").starts_with("the share is missing"));
    assert!(error("failed>ten").starts_with("\"ten\" is neither a share nor"));
    assert!(error("failed>10%,min=0").starts_with("\"min=0\" does not say"));
    assert!(error("failed>1%,failed>2%").contains("repeats"));
    assert!(error("rejected>50,min=5").starts_with("min= goes with a share"));
    assert!(error("offline<30%").contains("is not a condition"));
    assert!(error("").contains("is not a condition"));
    assert!(error("failed>1%;").contains("is not a condition"));
    assert!(error("ofline>30%").contains("write failed or frequency or quota"));
    assert!(error("accepted>30%").contains("cannot be counted"));
    assert!(error("never;failed>1%").contains("cannot be combined"));
    let error = |text: &str| text.parse::<Tolerate>().unwrap_err().to_string();
    assert!(error("offline>5%").contains("is not a limit"));
    assert!(error("offline<0%").contains("tolerates none"));
    assert!(error("offline<1").contains("tolerates none"));
    assert!(error("offline<100%").contains("is not a share"));
}

proptest! {
    #[test]
    fn every_threshold_survives_printing(
        items in prop::collection::vec((prop::sample::select(Counted::ALL), 2u64.., prop::option::of((1u16..10_000, 1u64..))), 0..5)
    ) {
        let conditions = AbortIf { conditions: items.iter().map(|(counted, tasks, share)| Condition {
            counted: *counted,
            above: share.map_or(Bound::Tasks(*tasks), |(hundredths, _)| Bound::Share(Percent::from_hundredths(hundredths))),
            min: share.map_or(1, |(_, min)| min),
        }).collect(), deliveries: vec!["send_failed>1%".parse().unwrap(), "unconfirmed>3".parse().unwrap()] };
        prop_assert_eq!(conditions.to_string().parse(), Ok(conditions.clone()));
        let limits = Tolerate {
            limits: conditions.each().map(|Condition { counted, above, .. }| Limit { counted, below: above }).collect(),
            deliveries: "send_failed<1%;unconfirmed>3".parse().unwrap(),
        };
        prop_assert_eq!(limits.to_string().parse(), Ok(limits.clone()));
    }

    #[test]
    fn no_count_is_both_tolerated_and_beyond_the_same_bound(
        hundredths in 1u16..10_000, part in 0u64..2000, whole in 1u64..2000,
    ) {
        let bound = Bound::Share(Percent::from_hundredths(hundredths));
        let above = Condition { counted: Counted::Failed, above: bound, min: 1 };
        let below = Limit { counted: Counted::Failed, below: bound };
        prop_assert!(!(above.is_met(part, whole) && below.holds(part, whole)));
    }
}
