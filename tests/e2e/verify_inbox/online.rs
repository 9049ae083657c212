//! `retry --when-online` with messages.

use super::*;

#[test]
fn a_device_that_messages_say_has_come_online_is_sent_to_without_a_question() {
    let offline = Scenario {
        seed: 2,
        offline: 1.0,
        ..Scenario::default()
    };
    let Some(post) = Post::open("online", &devices(3), offline) else {
        return;
    };
    let (site, sim) = (&post.site, &post.sim);
    let run = ["run", "fleet.csv", "--name", "night"];
    site.push(sim, &run).expect(1);
    let ended = "SELECT max(unixepoch(finished_at)) AS at FROM results";
    let failed_at = post.sql(ended)[0]["at"].as_i64().expect("an end") * 1000;
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
    sim.play(Scenario::default());
    let retry = ["retry", "--when-online"];
    site.push(sim, &retry).expect(1);
    let accepted = "SELECT device_key FROM results WHERE state = 'accepted'";
    assert_eq!(post.sql(accepted), [json!({"device_key": "DK00001"})]);
    assert_eq!(sim.stats().device_lists, 0, "the messages say it all");
    // What has gone again comes back.
    post.receive([said("DK00003", 2, after + 2)]);
    site.push(sim, &retry).expect(1);
    assert_eq!(post.sql(accepted).len(), 2);
}
