//! `retry --delivery`: what was accepted and not delivered is sent again.

use serde_json::{Value, json};

use super::*;
use crate::support::agree;

const DEVICES: usize = 40;

fn rows(site: &Site, query: &str) -> Vec<Value> {
    let told = site.run(&["sql", query, "--format", "jsonl"]);
    told.expect(0).json_lines()
}

/// How often each device has got its command.
fn got(sim: &Sim) -> BTreeMap<String, usize> {
    let mut got = BTreeMap::new();
    for one in sim.deliveries() {
        *got.entry(one.device_key).or_default() += 1;
    }
    got
}

#[test]
fn what_was_accepted_and_not_delivered_is_sent_again_and_nothing_else() {
    let failing = History {
        send_failed: 0.5,
        ..History::default()
    };
    let (site, sim) = (Site::with(&devices(DEVICES)), Sim::start(told(failing)));
    site.push(
        &sim,
        &["run", "fleet.csv", "--name", "night", "--chunk-size", "20"],
    )
    .expect(0);
    let again = ["retry", "night", "--delivery", "send_failed,expired"];
    // Silence is no evidence.
    site.push(&sim, &again)
        .expect(2)
        .says(&["no accepted command with this delivery matches the filter"]);
    verify(&site, &sim, &["night"]).expect(1);
    let failed: BTreeSet<String> = rows(
        &site,
        "SELECT device_key FROM results WHERE delivery = 'send_failed'",
    )
    .iter()
    .map(|row| row["device_key"].as_str().expect("a key").to_owned())
    .collect();
    assert!((1..DEVICES).contains(&failed.len()));
    let others = "SELECT line, ticket, attempts, code, message, delivery, finished_at FROM results \
        WHERE device_key NOT IN (SELECT device_key FROM attempts WHERE attempt = 2) AND delivery = 'sent' ORDER BY line";
    let before = rows(&site, others);
    let tickets = rows(
        &site,
        "SELECT ticket FROM deliveries WHERE delivery = 'send_failed' ORDER BY line",
    );

    let dry = [&again[..], &["--dry-run"]].concat();
    site.push(&sim, &dry).expect(0).says(&[
        &format!("{} tasks would be sent again", failed.len()),
        "a device may get its command twice",
    ]);
    assert_eq!(sim.stats().requests, 2, "it has sent nothing");

    sim.play(told(History::default()));
    site.push(&sim, &again)
        .expect(0)
        .says(&["a device may get its command twice"]);
    for (device, times) in got(&sim) {
        let expected = 1 + usize::from(failed.contains(&device));
        assert_eq!(times, expected, "{device}");
    }
    agree(&site.journal(), &sim);
    // The others stood in a range with them.
    assert_eq!(rows(&site, others), before);
    // The new send begins without evidence, and that of the old one is kept.
    let counts = "SELECT delivery, attempts, count(*) AS n FROM results GROUP BY 1, 2 ORDER BY 2";
    let (left, sent) = (DEVICES - failed.len(), failed.len());
    assert_eq!(
        rows(&site, counts),
        [
            json!({"delivery": "sent", "attempts": 1, "n": left}),
            json!({"delivery": "unknown", "attempts": 2, "n": sent})
        ]
    );
    let kept = "SELECT ticket FROM deliveries WHERE delivery = 'send_failed' ORDER BY line";
    assert_eq!(rows(&site, kept), tickets);
    verify(&site, &sim, &["night"]).expect(0);
    let counted = "SELECT delivery, count(*) AS n FROM results GROUP BY 1";
    assert_eq!(
        rows(&site, counted),
        [json!({"delivery": "sent", "n": DEVICES})]
    );
    assert_eq!(rows(&site, kept), tickets);
    site.push(&sim, &again).expect(2);
}

#[test]
fn what_may_still_be_sent_or_has_been_is_refused_with_a_way_out() {
    let (site, sim) = (
        Site::with(&devices(2)),
        Sim::start(told(History::default())),
    );
    site.push_named(&sim, "night").expect(0);
    for (words, says) in [
        ("unknown", "fleetpush verify looks for evidence"),
        ("queued", "fleetpush verify looks for evidence"),
        (
            "send_failed,unconfirmed",
            "--delivery unknown: the platform may still send",
        ),
        ("sent", "--delivery sent --as-manifest --out again.jsonl"),
        ("answered", "--delivery answered --as-manifest"),
    ] {
        site.push(&sim, &["retry", "--delivery", words])
            .expect(2)
            .says(&[says]);
    }
    site.push(
        &sim,
        &["retry", "--delivery", "expired", "--state", "failed"],
    )
    .expect(2)
    .says(&["--state", "--delivery"]);
    assert_eq!(sim.stats().requests, 1);
}

#[test]
fn what_has_expired_in_the_cache_is_sent_again() {
    let queued = History {
        queued: 1.0,
        ..History::default()
    };
    let row = r#"PK1,A,"[{""fuwu"":[{""raw1"":""AA""}]}]""#;
    let manifest = format!("product_key,device_key,data,is_cache,cache_time\n{row},true,1\n");
    let (site, sim) = (Site::with(&manifest), Sim::start(told(queued)));
    site.push_named(&sim, "night").expect(0);
    let again = ["retry", "night", "--delivery", "expired"];
    // It is queued until its second is over.
    let counted = wait_for("a command that has expired", || {
        verify(&site, &sim, &["night"]).expect(1);
        let counted = rows(&site, "SELECT delivery FROM results");
        (counted != [json!({"delivery": "queued"})]).then_some(counted)
    });
    assert_eq!(counted, [json!({"delivery": "expired"})]);
    sim.play(told(History::default()));
    site.push(&sim, &again)
        .expect(0)
        .says(&["a device may get its command twice"]);
    assert_eq!(got(&sim), BTreeMap::from([("A".to_owned(), 2)]));
    verify(&site, &sim, &["night"]).expect(0);
}
