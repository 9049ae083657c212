//! `retry --delivery` by messages that nobody has recorded yet.

use super::*;

#[test]
fn a_retry_chooses_by_what_the_inbox_says() {
    let Some(post) = Post::open("again", &devices(6), waiting()) else {
        return;
    };
    let (site, sim) = (&post.site, &post.sim);
    site.push_named(sim, "night").expect(0);
    let sent = sim.deliveries();
    post.receive([reqack(&sent[1], "fail"), reqack(&sent[2], "succ")]);
    let again = ["retry", "--delivery", "send_failed"];
    let dry = [&again[..], &["--dry-run"]].concat();
    site.push(sim, &dry)
        .expect(0)
        .says(&["1 task would be sent again"]);
    assert_eq!(
        post.recorded(),
        BTreeMap::new(),
        "a question records nothing"
    );
    site.push(sim, &again).expect(0);
    let devices: Vec<String> = sim
        .deliveries()
        .into_iter()
        .map(|one| one.device_key)
        .collect();
    assert_eq!(devices.len(), 7);
    let times = devices.iter().filter(|key| **key == sent[1].device_key);
    assert_eq!(times.count(), 2);
}
