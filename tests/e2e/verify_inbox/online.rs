//! `retry --when-online` with messages.

use fleetpush::simulator::{Inventory, ListedDevice};

use super::*;

/// The time on the platform's clock, in milliseconds.
fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a time after 1970");
    i64::try_from(since.as_millis()).expect("a time of this age")
}

/// A platform that lists those of three devices as online whose numbers these are.
fn listing(online: &[usize]) -> Scenario {
    let device = |number| ListedDevice {
        device_key: format!("DK{number:05}"),
        online: online.contains(&number),
        ..ListedDevice::default()
    };
    Scenario {
        inventory: Inventory {
            devices: Some((1..=3).map(device).collect()),
            ..Inventory::default()
        },
        ..Scenario::default()
    }
}

#[test]
fn a_message_that_a_device_has_come_online_is_enough_and_of_all_others_the_list_is_asked() {
    come_online(Post::open);
}

pub(super) fn come_online(open: Open) {
    let offline = Scenario {
        seed: 2,
        offline: 1.0,
        ..Scenario::default()
    };
    let Some(post) = open("online", &devices(3), offline) else {
        return;
    };
    let (site, sim) = (&post.site, &post.sim);
    let run = ["run", "fleet.csv", "--name", "night"];
    site.push(sim, &run).expect(1);
    let failed_at = now();
    // Long after the failure and long before it, whatever the clock says.
    let said = |device: &str, value: u8, at: i64| {
        json!({"type": "ONLINE", "productKey": "PK0001", "deviceKey": device, "createdAt": at,
            "ticket": format!("{at:024x}"), "data": {"value": value}})
    };
    let (before, after) = (failed_at - 3_600_000, failed_at + 3_600_000);
    post.receive([
        said("DK00001", 1, after),
        said("DK00002", 1, before),
        said("DK00003", 1, after),
        said("DK00003", 0, after + 1),
    ]);
    // The second has come online while nobody listened; the third is still gone.
    sim.play(listing(&[2]));
    let retry = ["retry", "--when-online"];
    site.push(sim, &retry).expect(1);
    let accepted = "SELECT device_key FROM results WHERE state = 'accepted' ORDER BY 1";
    let of = |key: &str| json!({"device_key": key});
    assert_eq!(post.sql(accepted), [of("DK00001"), of("DK00002")]);
    assert_eq!(sim.stats().device_lists, 2, "the first needs no question");
    // What has gone again comes back.
    post.receive([said("DK00003", 2, after + 2)]);
    site.push(sim, &retry).expect(0);
    assert_eq!(post.sql(accepted).len(), 3);
    assert_eq!(sim.stats().device_lists, 2, "the messages say it all");
}

#[test]
fn a_list_that_is_refused_keeps_nothing_from_devices_that_messages_say_are_online() {
    unlisted(Post::open);
}

pub(super) fn unlisted(open: Open) {
    let offline = Scenario {
        seed: 2,
        offline: 1.0,
        ..Scenario::default()
    };
    // So many that the product's list is read.
    let Some(post) = open("unlisted", &devices(110), offline) else {
        return;
    };
    let (site, sim) = (&post.site, &post.sim);
    let run = ["run", "fleet.csv", "--name", "night"];
    site.push(sim, &run).expect(1);
    sim.play(Scenario {
        inventory: Inventory {
            refusals: u64::MAX,
            refusal_code: 80005,
            ..Inventory::default()
        },
        ..Scenario::default()
    });
    let retry = ["retry", "--when-online"];
    let refused = "the platform does not return the device list of product PK0001";
    site.push(sim, &retry).expect(2).says(&[refused]);
    // The year 2100.
    post.receive([
        json!({"type": "ONLINE", "productKey": "PK0001", "deviceKey": "DK00007", "createdAt": 4_102_444_800_000_i64,
            "ticket": "1", "data": {"value": 1}}),
    ]);
    site.push(sim, &retry).expect(1).says(&[
        refused,
        "only devices that messages say are online are sent to",
    ]);
    let accepted = "SELECT device_key FROM results WHERE state = 'accepted'";
    assert_eq!(post.sql(accepted), [json!({"device_key": "DK00007"})]);
}
