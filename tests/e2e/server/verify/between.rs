//! What verifies a run and what pushes it take turns.

use rustix::process::Signal;

use super::*;

/// How many commands are known to be sent.
fn sent(site: &Site) -> u64 {
    site.deliveries().get("sent").copied().unwrap_or_default()
}

/// Starts a verification of which one question has been answered.
fn asking(site: &Site, sim: &Sim) -> Push {
    // One at a time: when the second comes, the first has its answer.
    let slowly = ["night", "--history-rate", "0.5", "--concurrency", "1"];
    let before = sim.stats().histories;
    let asking = Push::start(verify_command(site, sim, &slowly));
    wait_for("two questions", || {
        (sim.stats().histories >= before + 2).then_some(())
    });
    asking
}

#[test]
fn a_run_that_another_process_pushes_is_not_verified() {
    let Some(site) = Site::on_server(&devices(200)) else {
        return;
    };
    let sim = Sim::slow(200);
    let run = ["run", "fleet.csv", "--name", "night", "--chunk-size", "1"];
    let push = site.start(&sim, &[&run[..], &["--concurrency", "1"]].concat());
    sim.wait_for_requests(2);
    verify(&site, &sim, &["night"]).expect(7).says(&[
        "run 'night' is under way",
        "another process (pid",
        "are pending",
    ]);
    // What records nothing needs nothing of it.
    verify(&site, &sim, &["night", "--dry-run", "--sample", "1"])
        .expect(3)
        .says(&["delivery of "]);
    assert_eq!(site.deliveries().get("sent"), None);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    sim.play(all("sent"));
    site.push(&sim, &["resume", "night"]).expect(0);
    verify(&site, &sim, &["night"]).expect(0);
    assert_eq!(sent(&site), 200);
}

#[test]
fn pushes_take_the_database_while_verify_asks() {
    let Some(site) = Site::on_server(&devices(30)) else {
        return;
    };
    let sim = Sim::start(all("sent"));
    site.push_named(&sim, "night").expect(0);
    let first = asking(&site, &sim);
    let again = ["run", "fleet.csv", "--name", "other", "--again"];
    site.push(&sim, &again).expect(0);
    // The same run, too.
    site.push(&sim, &["retry", "night", "--state", "failed"])
        .expect(2);
    first.signal(Signal::INT);
    first.ended().expect(3);
    let (asked, kept) = (sim.stats().histories, sent(&site));
    assert!(kept >= 1 && asked < 30, "{kept} of {asked} are kept");
    verify(&site, &sim, &["night"]).expect(0);
    assert_eq!(sim.stats().histories - asked, 30 - kept);
    assert_eq!(sent(&site), 30);
}

#[test]
fn a_verification_waits_for_a_push_of_its_run_that_has_begun_meanwhile() {
    let Some(site) = Site::on_server(&devices(30)) else {
        return;
    };
    let sim = Sim::start(Scenario {
        offline: 0.5,
        ..all("sent")
    });
    site.push_named(&sim, "night").expect(1);
    let mut slowly = verify_command(
        &site,
        &sim,
        &[
            "night",
            "--history-rate",
            "1",
            "--concurrency",
            "1",
            "--sample",
            "3",
        ],
    );
    slowly.args(["--tolerate", "unconfirmed>99%"]);
    let verifying = Push::start(slowly);
    wait_for("a question", || (sim.stats().histories >= 1).then_some(()));
    sim.play(Scenario {
        latency_ms: 1_000,
        ..all("sent")
    });
    let retry = ["retry", "night", "--chunk-size", "1", "--concurrency", "2"];
    let pushing = site.start(&sim, &retry);
    wait_for("words about the push", || {
        verifying
            .stderr()
            .contains("waiting: another process uses the database (pid ")
            .then_some(())
    });
    pushing.ended().expect(0);
    verifying.ended().expect(0);
    assert_eq!(sent(&site), 3);
    agree(&site.journal(), &sim);
}

#[test]
fn a_server_that_is_lost_leaves_what_was_found() {
    let Some(site) = Site::on_server(&devices(60)) else {
        return;
    };
    let sim = Sim::start(all("sent"));
    site.push_named(&sim, "night").expect(0);
    let slowly = ["--history-rate", "20", "--concurrency", "1"];
    let verifying = Push::start(verify_command(&site, &sim, &slowly));
    // The answers of fifty are recorded together before the next are asked about.
    wait_for("questions of the second fifty", || {
        (sim.stats().histories >= 51).then_some(())
    });
    site.server().close();
    verifying.ended().expect(6);
    site.server().open();
    assert_eq!(sent(&site), 50);
    let asked = sim.stats().histories;
    verify(&site, &sim, &[]).expect(0);
    assert_eq!(sim.stats().histories - asked, 10);
    assert_eq!(sent(&site), 60);
}

#[test]
fn a_push_whose_canary_is_verified_waits_for_its_server() {
    let Some(site) = Site::on_server(&devices(30)) else {
        return;
    };
    let sim = Sim::start(all("queued"));
    let run = ["run", "fleet.csv", "--name", "night", "--canary", "4"];
    let proof = ["--canary-verify", "24h"];
    let push = site.start(&sim, &[&run[..], &proof, &FAST].concat());
    wait_for("a canary that is not proved yet", || {
        push.stderr()
            .contains("the canary is not proved yet: 4 queued")
            .then_some(())
    });
    site.server().close();
    wait_for("words about the server", || {
        push.stderr()
            .contains("the results database does not answer")
            .then_some(())
    });
    sim.play(all("sent"));
    site.server().open();
    push.ended().expect(0).says(&[
        "the results database answers again",
        "the canary is proved: 4 sent",
    ]);
    assert_eq!(sim.deliveries().len(), 30);
    agree(&site.journal(), &sim);
}

#[test]
fn copies_are_verified_where_they_were_pushed() {
    let Some(site) = Site::on_server(&devices(5)) else {
        return;
    };
    let sim = Sim::some_offline();
    let file = Site::with(&devices(40));
    file.push_named(&sim, "night").expect(1);
    let from = file.path("push.db").display().to_string();
    let copy = || {
        let args = ["db", "copy", &from, &site.server().url()];
        Push::start(with_server(&site, &args)).ended()
    };
    copy().expect(0);
    let online = ["retry", "--when-online"];
    for args in [&["night"][..], &["--dry-run"]] {
        verify(&site, &sim, args)
            .expect(2)
            .says(&["were copied from a file", "verify them there"]);
    }
    site.push(&sim, &online)
        .expect(2)
        .says(&["were copied from a file"]);
    copy().expect(0);
    // Beside runs that are pushed here it is one by itself.
    sim.play(Scenario::default());
    site.push_named(&sim, "new").expect(0);
    verify(&site, &sim, &["night"])
        .expect(2)
        .says(&["run 'night' was copied", "verify it there"]);
    verify(&site, &sim, &["new"]).expect(0);
    let requests = sim.stats().requests;
    site.push(&sim, &online)
        .expect(0)
        .says(&["run 'night' was copied from a file and is skipped"]);
    site.push(&sim, &[&online[..], &["night"]].concat())
        .expect(2)
        .says(&["run 'night' was copied", "retry it there"]);
    assert_eq!(sim.stats().requests, requests, "nothing is sent again");
}
