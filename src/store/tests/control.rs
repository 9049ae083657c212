//! Requests to the owner and the end of a run by hand, in a file and on a server.

use super::{
    both::{TASKS, both, texts},
    pushed::{accepted, push, staged},
};
use crate::{
    journal::Next,
    model::{Asker, Class, Control, ControlAction, RunState, TaskState, Timestamp},
    store::{ControlRequest, ControlledRun, TakenBack},
};

const NOW: Timestamp = Timestamp(1_000_000);

fn control(action: ControlAction, by: &str) -> Control {
    Control {
        action,
        by: by.into(),
        at: Timestamp(5_000),
        id: format!("{by}-{}", action.name()),
        asker: Some(Asker {
            arguments: vec!["cancel".into(), "it's \"night\"".into()],
            note: None,
            host: "here".into(),
            pid: 7,
            version: "1".into(),
        }),
    }
}

#[tokio::test]
async fn a_request_is_taken_back_or_obeyed_and_never_both() {
    let (stores, _folder) = both().await;
    for mut store in stores {
        let run = staged(&mut store, "night", &[("DK1", "fuwu")], NOW).await;
        let about = ControlledRun {
            id: run.id,
            created_at: run.created_at,
        };
        let request = |action, by| ControlRequest {
            run: about,
            begun: false,
            control: control(action, by),
        };
        let pause = ControlAction::Pause;
        let mut requests = store.control_requests().unwrap();
        assert_eq!(
            requests.take_back(pause, run.id).await.unwrap(),
            TakenBack::Nothing
        );
        for (action, by) in [
            (pause, "bert"),
            (ControlAction::Cancel, "anna"),
            (pause, "anna"),
        ] {
            requests.ask(&request(action, by)).await.unwrap();
        }
        assert!(store.may_be_controlled().await.unwrap());
        // The later one has taken the place of the earlier one.
        let asked = [
            request(pause, "anna"),
            request(ControlAction::Cancel, "anna"),
        ];
        let mut found = requests.of_run(run.id).await.unwrap();
        found.sort_by_key(|request| request.control.action);
        assert_eq!(found, asked);
        assert_eq!(requests.all().await.unwrap().found.len(), 2);
        assert_eq!(
            requests.take_back(pause, run.id).await.unwrap(),
            TakenBack::Taken
        );
        assert!(!requests.begin(&asked[0]).await.unwrap());
        assert!(!requests.is_begun(pause, run.id).await.unwrap());
        requests.ask(&asked[0]).await.unwrap();
        assert!(requests.begin(&asked[0]).await.unwrap());
        assert!(requests.is_begun(pause, run.id).await.unwrap());
        assert_eq!(
            requests.take_back(pause, run.id).await.unwrap(),
            TakenBack::TooLate
        );
        let begun = ControlRequest {
            begun: true,
            ..asked[0].clone()
        };
        assert!(requests.of_run(run.id).await.unwrap().contains(&begun));
        // The next owner finds it as it was left.
        assert!(requests.begin(&begun).await.unwrap());
        requests.end(pause, run.id).await.unwrap();
        assert_eq!(requests.of_run(run.id).await.unwrap(), asked[1..]);
        requests.delete(&asked[1]).await.unwrap();
        assert!(requests.all().await.unwrap().found.is_empty());
        store.close().await.unwrap();
    }
}

/// Some are in doubt and wait to be sent again, some have failed, and the others accept.
fn mixed(device: &str) -> (Class, Next) {
    match device {
        "DK01" | "DK02" => (
            Class::InDoubt,
            Next::Again {
                due_at: Timestamp(2_000_000),
                keep_bundle: false,
            },
        ),
        "DK03" => (Class::Offline, Next::End(TaskState::Failed)),
        _ => accepted(device),
    }
}

#[tokio::test]
async fn the_end_of_a_run_by_hand_is_the_same_in_a_file_and_on_a_server() {
    const DEVICES: [(&str, &str); 14] = [
        ("DK01", "fuwu"),
        ("DK02", "fuwu"),
        ("DK03", "fuwu"),
        ("DK04", "fuwu"),
        ("DK05", "fuwu"),
        ("DK06", "fuwu"),
        ("DK07", "fuwu"),
        ("DK08", "fuwu"),
        ("DK09", "fuwu"),
        ("DK10", "fuwu"),
        ("DK11", "fuwu"),
        ("DK12", "fuwu"),
        ("DK01", "boot"),
        ("DK04", "boot"),
    ];
    let (stores, _folder) = both().await;
    let mut left = Vec::new();
    for mut store in stores {
        let run = staged(&mut store, "night", &DEVICES, NOW).await;
        push(&mut store, &run, 1, NOW, mixed).await;
        store
            .pause(run.id, &control(ControlAction::Pause, "anna"))
            .await
            .unwrap();
        let paused = store.run_by_id(run.id).await.unwrap().unwrap();
        assert_eq!(paused.state, RunState::Paused);
        let mut all = texts(&mut store, &TASKS).await;
        let cancel = control(ControlAction::Cancel, "bert");
        let ended = store.cancel(&run, &cancel, NOW).await.unwrap();
        assert_eq!(ended, 6, "two in doubt, and four that were not sent");
        let cancelled = store.run_by_id(run.id).await.unwrap().unwrap();
        assert_eq!(cancelled.state, RunState::Cancelled);
        store
            .note_asker(run.id, "night", &cancel, NOW)
            .await
            .unwrap();
        store
            .note_asker(run.id, "night", &cancel, NOW)
            .await
            .unwrap();
        all.extend(texts(&mut store, &TASKS).await);
        let sessions = "SELECT command || ' ' || arguments || ' ' || host || ' ' || stop || ' ' || sent FROM session ORDER BY id";
        let sessions = texts(&mut store, &[sessions]).await;
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        all.extend(sessions);
        left.push(all);
        store.close().await.unwrap();
    }
    assert!(left.iter().all(|one| *one == left[0]), "{left:#?}");
}
